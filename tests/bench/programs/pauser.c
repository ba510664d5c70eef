/* pauser: the cheapest program to manage. It waits for a signal for ever, and the signal ends it. */
#include <unistd.h>

int main(void) {
    for (;;) pause();
}
