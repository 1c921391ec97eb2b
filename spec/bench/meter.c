/*
** meter.c - runs a program and measures it from outside.
**
**   meter COMMAND [ARGUMENT...]
**
** The program writes a line to descriptor 3 at each of its marks, and waits for
** a byte on descriptor 4 while it is looked at. For each mark, a line is
** printed: the mark, then seconds since before the program was started, seconds
** of CPU (user and system, all threads), and kilobytes resident now and at the
** most. A program whose environment has no BENCH_METER is not measured.
** SPDX-License-Identifier: MIT
*/
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(clockid_t clock) {
  struct timespec now = {0};
  clock_gettime(clock, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

static void move(int fd, int to) {
  if (fd != to && (dup2(fd, to) < 0 || close(fd) != 0))
    die("meter: dup2");
}

/* In the child: the pipes become descriptors 3 and 4. */
static void become(char **command, int marks[2], int answers[2]) {
  int out = dup(marks[1]), in = dup(answers[0]);
  for (int i = 0; i < 2; i++) {
    close(marks[i]);
    close(answers[i]);
  }
  if (out < 0 || in < 0)
    die("meter: dup");
  if (in == 3) { /* out of the other's way */
    in = dup(in);
    close(3);
  }
  move(out, 3);
  move(in, 4);
  setenv("BENCH_METER", "1", 1);
  execvp(command[0], command);
  die(command[0]);
}

/* The number behind a name in a file of /proc. */
static long field(pid_t pid, const char *file, const char *name) {
  char path[64], line[256];
  long value = 0;
  snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, file);
  FILE *in = fopen(path, "r");
  if (in == NULL)
    die(path);
  while (fgets(line, sizeof line, in) != NULL) {
    if (strncmp(line, name, strlen(name)) == 0)
      value = atol(line + strlen(name));
  }
  fclose(in);
  return value;
}

int main(int argc, char **argv) {
  int marks[2], answers[2], status;
  char mark[32];
  clockid_t cpu;
  if (argc < 2 || pipe(marks) != 0 || pipe(answers) != 0)
    die("usage: meter COMMAND");
  double start = seconds(CLOCK_MONOTONIC);
  pid_t pid = fork();
  if (pid < 0)
    die("meter: fork");
  if (pid == 0)
    become(argv + 1, marks, answers);
  close(marks[1]);
  close(answers[0]);
  if (clock_getcpuclockid(pid, &cpu) != 0)
    die("meter: clock");
  FILE *in = fdopen(marks[0], "r");
  while (in != NULL && fgets(mark, sizeof mark, in) != NULL) {
    double wall = seconds(CLOCK_MONOTONIC) - start, used = seconds(cpu);
    mark[strcspn(mark, "\n")] = '\0';
    /* the sum of the mappings: the kernel's own count of now is rough */
    printf("%s %.6f %.6f %ld %ld\n", mark, wall, used,
           field(pid, "smaps_rollup", "Rss:"), field(pid, "status", "VmHWM:"));
    if (write(answers[1], "", 1) != 1)
      die("meter: write");
  }
  if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) ||
      WEXITSTATUS(status) != 0)
    return 1;
  return 0;
}
