/* flood BYTES CHUNK GATE: writes BYTES to stdout, CHUNK bytes with each write(2), then waits for ever.
 *
 * It makes the FIFO at GATE and begins when somebody has opened it for writing and closed it. */
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char byte;
    if (argc != 4) return 2;
    long long left = atoll(argv[1]);
    size_t chunk = atol(argv[2]);
    char *text = malloc(chunk);
    if (!text || chunk == 0) return 1;
    memset(text, 'x', chunk);
    text[chunk - 1] = '\n';

    if (mkfifo(argv[3], 0600) < 0) return 1;
    int gate = open(argv[3], O_RDONLY | O_CLOEXEC);
    if (gate < 0) return 1;
    while (read(gate, &byte, 1) > 0) {}

    while (left > 0) {
        ssize_t n = write(1, text, (long long)chunk < left ? chunk : (size_t)left);
        if (n < 0) return 1;
        left -= n;
    }
    for (;;) pause();
}
