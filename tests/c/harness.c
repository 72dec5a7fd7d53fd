/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#define _GNU_SOURCE
#include "harness.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Far more than any test needs. Tools that make programs slow raise it. */
static unsigned watchdog_seconds(void)
{
    const char *given = getenv("CARRICK_TEST_SECONDS");
    long seconds = given == NULL ? 0 : strtol(given, NULL, 10);
    return seconds > 0 && seconds < 86400 ? (unsigned)seconds : 60;
}

int open_descriptors(void)
{
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return -1;
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

/* valgrind looks for leaks at the end of each process, and a child has copies of what its parent is to free: there it ends as
 * another program. */
void end_child(int code)
{
    if (getenv("CARRICK_UNDER_VALGRIND") != NULL) {
        char command[40];
        snprintf(command, sizeof command, "exit %d", code & 255);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    }
    _exit(code);
}

static int threads(void)
{
    int count = -2;
    DIR *folder = opendir("/proc/self/task");
    while (folder != NULL && readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count;
}

/* Threads of a server that was shut down are about to end: what they free meanwhile is no leak. */
static void last_thread(void)
{
    int tries;
    for (tries = 0; threads() > 1 && tries < 2000; tries++)
        usleep(1000);
}

static void wake(int number) { (void)number; }

/* Waits for the orphans of a test's group, which come to this process; those that do not end in time are killed.
 * A fork server's ready children see only after the test that nobody is there for them. */
static int group_ends(pid_t group)
{
    struct sigaction action;
    int ended;
    memset(&action, 0, sizeof action);
    action.sa_handler = wake;
    sigaction(SIGALRM, &action, NULL);
    alarm(10);
    while (waitpid(-group, NULL, 0) > 0)
        continue;
    ended = errno == ECHILD && kill(-group, 0) != 0;
    alarm(0);
    signal(SIGALRM, SIG_DFL);
    kill(-group, SIGKILL);
    while (waitpid(-group, NULL, 0) > 0)
        continue;
    return ended;
}

static int run_one(const struct test *test)
{
    int status = 0;
    pid_t child;
    fflush(NULL);
    child = fork();
    if (child == 0) {
        /* A group of its own, so that nothing of the test outlives it. */
        setpgid(0, 0);
        int before = open_descriptors();
        alarm(watchdog_seconds());
        test->run();
        if (open_descriptors() != before) {
            fprintf(stderr, "%s: %d descriptors before, %d after\n", test->name, before, open_descriptors());
            exit(1);
        }
        last_thread();
        exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        return 0;
    if (!group_ends(child)) {
        fprintf(stderr, "%s: left a process behind\n", test->name);
        if (status == 0)
            return 0;
    }
    if (WIFSIGNALED(status))
        fprintf(stderr, "%s: ended by signal %d%s\n", test->name, WTERMSIG(status),
                WTERMSIG(status) == 14 ? " (watchdog)" : "");
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int run_tests(const struct test *tests, size_t count, int argc, char **argv)
{
    int passed = 0, failed = 0;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    /* No buffer, of which children would have copies. */
    setvbuf(stdout, NULL, _IONBF, 0);
    for (size_t i = 0; i < count; i++) {
        if (argc > 1 && strstr(tests[i].name, argv[1]) == NULL)
            continue;
        int ok = run_one(&tests[i]);
        printf("%s %s\n", ok ? "ok" : "not ok", tests[i].name);
        if (ok)
            passed++;
        else
            failed++;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 && passed > 0 ? 0 : 1;
}
