/* A process that loads the library twice: the second copy refuses the state directory that the first uses, for the two would
   damage its database. Needs no containerd. */
#include <drmaa2.h>

#include <string.h>
#include <unistd.h>

#include "loaded.h"

int main(void)
{
    char dir[] = "/tmp/drmaa2-copies-XXXXXX", copy[64], command[4096];
    void *first, *second;
    drmaa2_jsession js;
    drmaa2_string text, name;
    CHECK(mkdtemp(dir) != NULL);
    setenv("DRMAA2_STATE_DIR", dir, 1);
    snprintf(copy, sizeof copy, "%s/copy.so", dir);
    snprintf(command, sizeof command, "cp '%s' %s", DRMAA2_LIBRARY, copy);
    CHECK(system(command) == 0);

    first = load(DRMAA2_LIBRARY);
    second = load(copy);
    CHECK(first != second);
    js = FUNCTION(first, drmaa2_create_jsession)(NULL, NULL);
    CHECK(js != NULL);
    CHECK(FUNCTION(second, drmaa2_create_jsession)(NULL, NULL) == NULL);
    CHECK(FUNCTION(second, drmaa2_lasterror)() == DRMAA2_SESSION_MANAGEMENT);
    text = FUNCTION(second, drmaa2_lasterror_text)();
    CHECK(text != NULL && strstr(text, dir) != NULL && strstr(text, "another copy") != NULL);
    FUNCTION(second, drmaa2_string_free)(&text);

    /* The first goes on. */
    name = FUNCTION(first, drmaa2_jsession_get_session_name)(js);
    CHECK(FUNCTION(first, drmaa2_close_jsession)(js) == DRMAA2_SUCCESS);
    CHECK(FUNCTION(first, drmaa2_destroy_jsession)(name) == DRMAA2_SUCCESS);
    FUNCTION(first, drmaa2_jsession_free)(&js);
    FUNCTION(first, drmaa2_string_free)(&name);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    CHECK(system(command) == 0);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
