/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A worker of squares.py. Arguments: the descriptors of the tasks and of the results, two for each queue. */
#include "../c/example.h"

static carrick_queue *attach(char **descriptors)
{
    carrick_queue *queue = NULL;
    CHECK(carrick_queue_attach(atoi(descriptors[0]), atoi(descriptors[1]), &queue));
    return queue;
}

int main(int argc, char **argv)
{
    carrick_queue *tasks, *results;
    char text[32];
    size_t len = 0;
    if (argc != 5)
        return 2;
    tasks = attach(argv + 1);
    results = attach(argv + 3);
    CHECK(carrick_queue_put(results, (const uint8_t *)"C", 1, FOREVER));
    for (;;) {
        long number;
        CHECK(carrick_queue_get_into(tasks, (uint8_t *)text, sizeof text - 1, FOREVER, &len));
        if (len == 0)
            break;
        text[len] = '\0';
        number = strtol(text, NULL, 10);
        len = (size_t)sprintf(text, "%ld", number * number);
        CHECK(carrick_queue_put(results, (const uint8_t *)text, len, FOREVER));
    }
    carrick_queue_free(tasks);
    carrick_queue_free(results);
    return 0;
}
