/* flood BYTES CHUNK LINE GATE: writes BYTES to stdout, CHUNK bytes with each write(2), in lines of LINE bytes, of which a
 * chunk holds a whole number; then waits for ever.
 *
 * It makes the FIFO at GATE and begins when somebody has opened it for writing and closed it. */
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char byte;
    if (argc != 5) return 2;
    long long left = atoll(argv[1]);
    size_t chunk = atol(argv[2]), line = atol(argv[3]);
    char *text = malloc(chunk);
    if (!text || line == 0 || chunk < line || chunk % line != 0) return 1;
    memset(text, 'x', chunk);
    for (size_t end = line; end <= chunk; end += line) text[end - 1] = '\n';

    if (mkfifo(argv[4], 0600) < 0) return 1;
    int gate = open(argv[4], O_RDONLY | O_CLOEXEC);
    if (gate < 0) return 1;
    while (read(gate, &byte, 1) > 0) {}

    while (left > 0) {
        ssize_t n = write(1, text, (long long)chunk < left ? chunk : (size_t)left);
        if (n < 0) return 1;
        left -= n;
    }
    for (;;) pause();
}
