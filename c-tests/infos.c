/*
 * Infos: what is freed with them, also when a client has made them.
 */
#include "check.h"

static drmaa2_version version(void) {
    drmaa2_version v = calloc(1, sizeof *v);
    v->major = strdup("1");
    v->minor = strdup("2");
    return v;
}

static drmaa2_slotinfo slotinfo(void) {
    drmaa2_slotinfo si = calloc(1, sizeof *si);
    si->machineName = strdup("machine");
    return si;
}

int main(void) {
    drmaa2_version v = version();
    drmaa2_version_free(&v);
    CHECK(v == NULL);
    drmaa2_version_free(&v);

    drmaa2_slotinfo si = slotinfo();
    drmaa2_slotinfo_free(&si);
    CHECK(si == NULL);
    drmaa2_slotinfo_free(&si);

    drmaa2_queueinfo qi = calloc(1, sizeof *qi);
    qi->name = strdup("queue");
    drmaa2_queueinfo_free(&qi);
    CHECK(qi == NULL);
    drmaa2_queueinfo_free(&qi);

    drmaa2_machineinfo mi = calloc(1, sizeof *mi);
    mi->name = strdup("machine");
    mi->machineOSVersion = version();
    drmaa2_machineinfo_free(&mi);
    CHECK(mi == NULL);
    drmaa2_machineinfo_free(&mi);

    drmaa2_notification n = calloc(1, sizeof *n);
    n->jobId = strdup("1");
    n->sessionName = strdup("session");
    drmaa2_notification_free(&n);
    CHECK(n == NULL);
    drmaa2_notification_free(&n);

    drmaa2_rinfo ri = calloc(1, sizeof *ri);
    ri->reservationId = strdup("1");
    ri->reservationName = strdup("name");
    ri->usersACL = drmaa2_list_create(DRMAA2_STRINGLIST, drmaa2_string_list_default_callback);
    CHECK_OK(drmaa2_list_add(ri->usersACL, strdup("user")));
    ri->reservedMachines =
        drmaa2_list_create(DRMAA2_SLOTINFOLIST, drmaa2_slotinfo_list_default_callback);
    CHECK_OK(drmaa2_list_add(ri->reservedMachines, slotinfo()));
    drmaa2_rinfo_free(&ri);
    CHECK(ri == NULL);
    drmaa2_rinfo_free(&ri);

    /* The library's account of itself. */
    char *name = drmaa2_get_drmaa_name();
    CHECK(name != NULL && *name != '\0');
    drmaa2_string_free(&name);
    name = drmaa2_get_drms_name();
    CHECK(name != NULL && *name != '\0');
    drmaa2_string_free(&name);
    v = drmaa2_get_drmaa_version();
    CHECK_STR(v->major, "2");
    CHECK_STR(v->minor, DRMAA2_VERSION);
    drmaa2_version_free(&v);
    return check_result();
}
