/* mortal STAMPS DEATHS MILLISECONDS: a program that dies over and over, to measure how soon it is back.
 *
 * Each life appends the time of its first statement to the file STAMPS, and MILLISECONDS later the time of
 * its death, just before it kills itself. Times are 8-byte nanoseconds of CLOCK_MONOTONIC, so births and
 * deaths take turns in the file. The life after DEATHS deaths stays. */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

int main(int argc, char **argv) {
    int64_t stamp = now();
    struct stat stamps;
    if (argc != 4) return 2;
    int file = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0 || write(file, &stamp, sizeof stamp) != sizeof stamp || fstat(file, &stamps) < 0) return 1;

    long deaths = stamps.st_size / sizeof stamp / 2, milliseconds = atol(argv[3]);
    while (deaths >= atol(argv[2])) pause();

    struct timespec life = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&life, 0);
    stamp = now();
    if (write(file, &stamp, sizeof stamp) != sizeof stamp) return 1;
    kill(getpid(), SIGKILL);
    return 1;
}
