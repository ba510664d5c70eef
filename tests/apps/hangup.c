/* Runs a command in a terminal of its own, hangs up when it has printed READY, and prints the signal that ended it. */
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    static char text[65536];
    size_t length = 0;
    int terminal, status;
    pid_t pid = forkpty(&terminal, NULL, NULL, NULL);
    if (pid == 0 && argc > 1) {
        /* Whoever runs the tests may ignore it. */
        signal(SIGHUP, SIG_DFL);
        execvp(argv[1], argv + 1);
        _exit(127);
    }
    while (!strstr(text, "READY")) {
        ssize_t n = read(terminal, text + length, sizeof text - 1 - length);
        if (n <= 0) {
            fprintf(stderr, "no READY, only: %s\n", text);
            return 1;
        }
        length += n;
    }
    close(terminal);
    waitpid(pid, &status, 0);
    printf("signal %d\n%s\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0, text);
    return 0;
}
