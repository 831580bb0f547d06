/*
 * NULL wherever there is a pointer, in every function beyond the standard: an error, never a crash.
 */
#include <drmaa2_ext.h>

#include "check.h"

static void infos(void) {
    drmaa2_rinfo ri = drmaa2_rinfo_create();
    CHECK(ri != NULL);
    drmaa2_rinfo_free(&ri);
}

int main(void) {
    infos();
    return check_result();
}
