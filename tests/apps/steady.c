/* Prints numbered lines, PER at a time with MICROS between, until there is a file "enough"; then "end" and how many
   there were. Makes the file "printed" and rests. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    long per = argc > 1 ? atol(argv[1]) : 1;
    long micros = argc > 2 ? atol(argv[2]) : 0;
    long at = 0;
    while (access("enough", F_OK) != 0) {
        for (long next = at + per; at < next; at++) {
            printf("%09ld and some text behind it\n", at);
        }
        fflush(stdout);
        if (micros > 0) {
            usleep(micros);
        }
    }
    printf("end %ld\n", at);
    fflush(stdout);
    FILE *done = fopen("printed", "w");
    if (done) {
        fclose(done);
    }
    for (;;) {
        pause();
    }
}
