/*
** pulse.c - see pulse.h.
** SPDX-License-Identifier: MIT
*/
#include "pulse.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void uq_pulse_free(struct uq_pulse *p) {
  free(p->heard);
  memset(p, 0, sizeof *p);
}

void uq_pulse_begin(struct uq_pulse *p, int fd, double now) {
  if (fd >= p->room) {
    int room = fd + 64;
    double *grown = realloc(p->heard, (size_t)room * sizeof *grown);
    if (grown == NULL)
      return;
    memset(grown + p->room, 0, (size_t)(room - p->room) * sizeof *grown);
    p->heard = grown;
    p->room = room;
  }
  if (p->heard[fd] == 0)
    p->heard[fd] = now;
}

void uq_pulse_beat(struct uq_pulse *p, int fd, double now) {
  if (fd < p->room && p->heard[fd] > 0)
    p->heard[fd] = now;
}

void uq_pulse_end(struct uq_pulse *p, int fd) {
  if (fd < p->room)
    p->heard[fd] = 0;
}

void uq_pulse_drop(struct uq_pulse *p, double now, double silence) {
  for (int fd = 0; fd < p->room; fd++) {
    if (p->heard[fd] == 0 || now - p->heard[fd] < silence)
      continue;
    (void)shutdown(fd, SHUT_RDWR); /* for its owner to see that it is dead */
    p->heard[fd] = now;
  }
}
