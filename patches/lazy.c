#define _GNU_SOURCE
#include <dlfcn.h>
__attribute__((constructor)) static void f(void){ dlopen("libcurl.so.4", RTLD_LAZY|RTLD_GLOBAL); }
