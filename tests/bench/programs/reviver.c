/* reviver DEATHS PROGRAM ARGUMENT...: the limit of restarting a program.
 *
 * Executes PROGRAM and, as often as DEATHS says, executes it again when it died. Then it waits for the end
 * of stdin and kills the last one. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char byte;
    if (argc < 3) return 2;
    for (long left = atol(argv[1]);; left--) {
        pid_t child = fork();
        if (child < 0) return 1;
        if (child == 0) {
            execv(argv[2], argv + 2);
            _exit(127);
        }
        if (left == 0) {
            while (read(0, &byte, 1) > 0) {}
            kill(child, SIGKILL);
            waitpid(child, 0, 0);
            return 0;
        }
        waitpid(child, 0, 0);
    }
}
