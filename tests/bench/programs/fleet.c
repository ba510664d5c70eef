/* fleet PROGRAM COUNT: the limit of starting and stopping many programs.
 *
 * Forks and executes PROGRAM COUNT times, says "running" when every exec is done, waits for a byte or the
 * end of stdin, interrupts all of them, reaps them, and says "gone". */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int executed[2];
    char byte;
    if (argc != 3) return 2;
    int count = atoi(argv[2]);
    pid_t *children = calloc(count, sizeof *children);
    /* Every child holds the writing end until its exec: the end of file means that all of them run. */
    if (!children || pipe2(executed, O_CLOEXEC) < 0) return 1;

    for (int i = 0; i < count; i++) {
        children[i] = fork();
        if (children[i] < 0) {
            /* A kill of -1 would be a kill of everybody: stop those that run, and give up. */
            while (i-- > 0) kill(children[i], SIGKILL);
            return 1;
        }
        if (children[i] == 0) {
            execv(argv[1], argv + 1);
            _exit(127);
        }
    }
    close(executed[1]);
    while (read(executed[0], &byte, 1) > 0) {}
    if (write(1, "running\n", 8) < 0) {}

    while (read(0, &byte, 1) < 0) {}
    for (int i = 0; i < count; i++) kill(children[i], SIGINT);
    for (int i = 0; i < count; i++) waitpid(children[i], 0, 0);
    if (write(1, "gone\n", 5) < 0) {}
    return 0;
}
