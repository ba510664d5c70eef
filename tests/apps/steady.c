/* Prints COUNT numbered lines, PER at a time with MICROS between, then "end"; makes the file "printed" and rests. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    long count = argc > 1 ? atol(argv[1]) : 0;
    long per = argc > 2 ? atol(argv[2]) : 1;
    long micros = argc > 3 ? atol(argv[3]) : 0;
    for (long at = 0; at < count; at++) {
        printf("%09ld and some text behind it\n", at);
        if (at % per == per - 1) {
            fflush(stdout);
            if (micros > 0) {
                usleep(micros);
            }
        }
    }
    printf("end\n");
    fflush(stdout);
    FILE *done = fopen("printed", "w");
    if (done) {
        fclose(done);
    }
    for (;;) {
        pause();
    }
}
