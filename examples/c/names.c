/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Two programs that are no relatives meet by a name: this one, and the same one started with the name. */
#define _POSIX_C_SOURCE 200809L
#include "example.h"

#include <errno.h>
#include <unistd.h>

static void visit(const char *name)
{
    carrick_queue *queue = NULL;
    int32_t fd;
    CHECK(carrick_name_open(name, strlen(name), &fd));
    CHECK(carrick_queue_attach(fd, -1, &queue));
    CHECK(carrick_queue_put(queue, (const uint8_t *)"a job from another program", 26, FOREVER));
    carrick_queue_free(queue);
}

int main(int argc, char **argv)
{
    const char *arguments[3] = {NULL, NULL, NULL};
    carrick_queue *queue = NULL;
    carrick_process *other = NULL;
    char name[40];
    uint8_t item[64];
    size_t name_len, len = 0;
    int32_t code = -1, fd;
    if (argc == 2) {
        visit(argv[1]);
        return 0;
    }
    name_len = (size_t)sprintf(name, "example-%ld", (long)getpid());
    CHECK(carrick_queue_create(name, name_len, NULL, &queue));
    arguments[0] = argv[0];
    arguments[1] = name;
    CHECK(carrick_process_spawn(arguments, NULL, &other));
    CHECK(carrick_process_join(other, FOREVER, &code));
    carrick_process_free(other);
    CHECK(carrick_name_remove(name, name_len));
    if (code != 0)
        return 1;
    CHECK(carrick_queue_get_into(queue, item, sizeof item, FOREVER, &len));
    printf("%.*s\n", (int)len, (const char *)item);
    if (carrick_name_open(name, name_len, &fd) == CARRICK_E_OS && carrick_last_os_error() == ENOENT)
        puts("the name is gone");
    carrick_queue_free(queue);
    return 0;
}
