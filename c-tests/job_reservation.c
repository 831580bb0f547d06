/* A reservation that begins at once, a job in it, and what is known of it; the same on every system. */
#include "job.h"

#include <time.h>

/* The reservations of a list that have this id. */
static int count(drmaa2_r_list list, const char *id)
{
    int found = 0;
    CHECK(list != NULL);
    for (long at = 0; at < drmaa2_list_size(list); at++) {
        drmaa2_string other = drmaa2_r_get_id((drmaa2_r)drmaa2_list_get(list, at));
        found += strcmp(other, id) == 0;
        drmaa2_string_free(&other);
    }
    drmaa2_list_free(&list);
    return found;
}

int main(void)
{
    drmaa2_jsession js = session("reservation");
    drmaa2_rsession rs = drmaa2_create_rsession("reservation", NULL);
    drmaa2_msession ms = drmaa2_open_msession(NULL);
    drmaa2_rtemplate rt = drmaa2_rtemplate_create();
    drmaa2_jtemplate jt = command("true");
    drmaa2_string id;
    drmaa2_jinfo ji;
    drmaa2_rinfo ri;
    drmaa2_r r, same;
    drmaa2_j j;
    time_t before = time(NULL);

    CHECK(drmaa2_supports(DRMAA2_ADVANCE_RESERVATION) && drmaa2_supports(DRMAA2_RESERVE_SLOTS));
    CHECK(drmaa2_supports(DRMAA2_RT_STARTNOW) && drmaa2_supports(DRMAA2_RT_DURATION));
    rt->reservationName = strdup("for a test");
    rt->startTime = DRMAA2_NOW;
    rt->duration = 600;
    rt->minSlots = 1;
    r = drmaa2_rsession_request_reservation(rs, rt);
    if (r == NULL)
        give_up("request_reservation");
    id = drmaa2_r_get_id(r);
    ri = drmaa2_r_get_info(r);
    CHECK_STR(ri->reservationId, id);
    CHECK_STR(ri->reservationName, "for a test");
    CHECK(ri->reservedStartTime >= before && ri->reservedStartTime <= time(NULL) + 1);
    CHECK_INT(ri->reservedEndTime - ri->reservedStartTime, 600);
    CHECK(ri->reservedSlots >= 1);
    CHECK_INT(drmaa2_list_size(ri->reservedMachines), 1);
    CHECK_INT(drmaa2_list_size(ri->usersACL), 1);
    drmaa2_rinfo_free(&ri);
    CHECK_INT(count(drmaa2_rsession_get_reservations(rs), id), 1);
    CHECK_INT(count(drmaa2_msession_get_all_reservations(ms), id), 1);
    same = drmaa2_rsession_get_reservation(rs, id);
    CHECK(same != NULL);
    drmaa2_r_free(&same);

    jt->reservationId = strdup(id);
    j = submit(js, jt);
    ji = finish(j);
    CHECK_INT(ji->jobState, DRMAA2_DONE);
    drmaa2_jinfo_free(&ji);
    drmaa2_j_free(&j);

    CHECK_INT(drmaa2_r_terminate(r), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_r_terminate(r), DRMAA2_INVALID_STATE);
    CHECK_INT(count(drmaa2_rsession_get_reservations(rs), id), 0);
    CHECK_INT(count(drmaa2_msession_get_all_reservations(ms), id), 0);
    ri = drmaa2_r_get_info(r);
    /* time() may be some milliseconds behind the clock that tells the end. */
    CHECK(ri != NULL && ri->reservedEndTime <= time(NULL) + 1);
    drmaa2_rinfo_free(&ri);

    drmaa2_r_free(&r);
    drmaa2_rtemplate_free(&rt);
    drmaa2_string_free(&id);
    CHECK_INT(drmaa2_close_msession(ms), DRMAA2_SUCCESS);
    drmaa2_msession_free(&ms);
    CHECK_INT(drmaa2_close_rsession(rs), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_destroy_rsession("reservation"), DRMAA2_SUCCESS);
    drmaa2_rsession_free(&rs);
    done_with(&js);
    return check_result();
}
