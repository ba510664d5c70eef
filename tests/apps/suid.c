/* A program that becomes root where its file lets it, and then waits. */
#include <unistd.h>

int main(void)
{
	if (setuid(0))
		return 7;
	for (;;)
		pause();
}
