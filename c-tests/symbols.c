/*
 * Every symbol of the list can be looked up by its name, as clients do that load the library.
 */
#include <dlfcn.h>

#include "check.h"

int main(void) {
    char line[256];
    int found = 0;
    FILE *list = fopen(DRMAA2_SYMBOLS, "r");
    if (list == NULL) {
        perror(DRMAA2_SYMBOLS);
        return EXIT_FAILURE;
    }
    /* The library is there already: this finds it by its name. */
    void *library = dlopen("libdrmaa2.so.1", RTLD_NOW | RTLD_NOLOAD);
    CHECK(library != NULL);
    CHECK(drmaa2_lasterror() == DRMAA2_SUCCESS);
    while (fgets(line, sizeof line, list) != NULL) {
        line[strcspn(line, " ")] = '\0';
        if (dlsym(library, line) == NULL) {
            check_failed(__FILE__, __LINE__, line, "a symbol", "nothing");
        }
        found++;
    }
    CHECK(found > 130);
    fclose(list);
    dlclose(library);
    return check_result();
}
