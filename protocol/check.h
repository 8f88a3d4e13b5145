// CHECK: an error of ours, as opposed to one of the world. It says what did not hold, and ends the process: a proxy
// that goes on after a broken invariant would copy the damage to the other store. Never for input, sockets or files.
#pragma once

#include <cstdio>
#include <cstdlib>

#define CHECK(condition)                                                              \
  do {                                                                                \
    if (!(condition)) [[unlikely]] {                                                  \
      fprintf(stderr, "CHECK failed at %s:%d: %s\n", __FILE__, __LINE__, #condition); \
      abort();                                                                        \
    }                                                                                 \
  } while (false)
