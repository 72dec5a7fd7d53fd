# SPDX-License-Identifier: MIT OR Apache-2.0
# Ten processes: which of them is first is up to the system, and the main process waits for all.
# Start methods: fork, spawn. The order of the lines is not determined.
from multiprocessing import Process


def send_mail(i):
    print('mail sent', i)


if __name__ == '__main__':
    li = []
    for i in range(10):
        p = Process(target=send_mail, args=(i,))
        p.start()
        li.append(p)
    for p in li:
        p.join()
    print('all sent:', [p.exitcode for p in li])
