/* The shared part of the tests that are not linked with the library but load it. */
#ifndef LOADED_H
#define LOADED_H

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static int failures;

#define CHECK(condition) check(__FILE__, __LINE__, #condition, (condition))

static inline void check(const char *file, int line, const char *what, int holds)
{
    if (!holds) {
        fprintf(stderr, "%s:%d: %s does not hold\n", file, line, what);
        failures++;
    }
}

/* The function of that name, as the header declares it. */
#define FUNCTION(library, name) ((__typeof__(&name))find(library, #name))

static inline void *find(void *library, const char *name)
{
    void *address = dlsym(library, name);
    if (address == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return address;
}

static inline void *load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    return library;
}

#endif
