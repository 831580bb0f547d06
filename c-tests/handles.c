/*
 * Handles that clients build, and handles that are none.
 */
#include "check.h"

/* As one client's header has it: without a name at the end. */
typedef struct {
    char *id;
    char *session_name;
} short_handle;

static void job_handles(void) {
    /* On the heap of the client, shorter than the library's: it is freed with its strings. */
    short_handle *own = malloc(sizeof *own);
    own->id = strdup("01j");
    own->session_name = strdup("session");
    drmaa2_j j = (drmaa2_j) (void *) own;
    CHECK_OWN(drmaa2_j_get_id(j), "01j");
    CHECK_OWN(drmaa2_j_get_session_name(j), "session");
    drmaa2_j_free(&j);
    CHECK(j == NULL);
    drmaa2_j_free(&j);

    /* Whole, in memory of the client, with rubbish where nothing is read. */
    char id[] = "01k";
    drmaa2_j_s whole = {id, NULL, (char *) 1};
    CHECK_OWN(drmaa2_j_get_id(&whole), "01k");
    CHECK(drmaa2_j_get_session_name(&whole) == NULL);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_SUCCESS);

    /* Without an id, or with one that cannot be ours. */
    drmaa2_j_s none = {NULL, NULL, NULL};
    CHECK_NULL(drmaa2_j_get_id(&none), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_j_get_info(&none), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_j_suspend(&none), DRMAA2_INVALID_ARGUMENT);
    char rubbish[] = "\xff\xfe";
    none.id = rubbish;
    CHECK_NULL(drmaa2_j_get_id(&none), DRMAA2_INVALID_ARGUMENT);

    /* No such waiting time. */
    CHECK_ERROR(drmaa2_j_wait_started(&whole, DRMAA2_UNSET_TIME), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_j_wait_terminated(&whole, (time_t) -1000), DRMAA2_INVALID_ARGUMENT);
}

static void array_handles(void) {
    drmaa2_jarray ja = calloc(1, sizeof *ja);
    ja->id = strdup("01a");
    ja->session_name = strdup("session");
    CHECK_OWN(drmaa2_jarray_get_id(ja), "01a");
    CHECK_OWN(drmaa2_jarray_get_session_name(ja), "session");
    drmaa2_jarray_free(&ja);
    CHECK(ja == NULL);

    ja = calloc(1, sizeof *ja);
    ja->id = strdup("01b");
    ja->job_list = drmaa2_list_create(DRMAA2_JOBLIST, drmaa2_j_list_default_callback);
    drmaa2_j j = calloc(1, sizeof *j);
    j->id = strdup("01b.1");
    CHECK_OK(drmaa2_list_add(ja->job_list, j));
    drmaa2_jarray_free(&ja);
    drmaa2_jarray_free(&ja);

    drmaa2_jarray_s none = {NULL, NULL, NULL};
    CHECK_NULL(drmaa2_jarray_get_id(&none), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_jarray_get_session_name(&none), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_jarray_get_jobs(&none), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_jarray_terminate(&none), DRMAA2_INVALID_ARGUMENT);
}

static void reservation_handles(void) {
    drmaa2_r r = calloc(1, sizeof *r);
    r->id = strdup("1");
    r->session_name = strdup("session");
    drmaa2_r_free(&r);
    CHECK(r == NULL);
    drmaa2_r_free(&r);

    /* One on the stack says what it says, whether there is such a reservation or not. */
    char id[] = "1", session[] = "session";
    drmaa2_r_s made = {id, session};
    CHECK_OWN(drmaa2_r_get_id(&made), "1");
    CHECK_OWN(drmaa2_r_get_session_name(&made), "session");
    made.session_name = NULL;
    CHECK_NULL(drmaa2_r_get_session_name(&made), DRMAA2_SUCCESS);

    drmaa2_r_s none = {NULL, NULL};
    CHECK_NULL(drmaa2_r_get_id(&none), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_r_get_session_name(&none), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_r_get_info(&none), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_r_get_reservation_template(&none), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_r_terminate(&none), DRMAA2_INVALID_ARGUMENT);
}

/* A session handle is known by its address: what is behind another one is not even looked at. */
static void session_handles(void) {
    drmaa2_jsession_s own = {NULL, NULL};
    drmaa2_jsession js = &own;
    CHECK_NULL(drmaa2_jsession_get_session_name(js), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_get_jobs(js, NULL), DRMAA2_INVALID_SESSION);
    CHECK_ERROR(drmaa2_close_jsession(js), DRMAA2_INVALID_SESSION);
    drmaa2_jsession_free(&js);
    CHECK(js == NULL);

    js = (drmaa2_jsession) 1;
    CHECK_NULL(drmaa2_jsession_run_job(js, NULL), DRMAA2_INVALID_SESSION);
    drmaa2_jsession_free(&js);
    CHECK(js == NULL);

    drmaa2_msession ms = (drmaa2_msession) &own;
    CHECK_NULL(drmaa2_msession_get_all_jobs(ms, NULL), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_msession_get_all_reservations(ms), DRMAA2_INVALID_SESSION);
    CHECK_ERROR(drmaa2_close_msession(ms), DRMAA2_INVALID_SESSION);
    drmaa2_msession_free(&ms);
    CHECK(ms == NULL);

    drmaa2_rsession rs = (drmaa2_rsession) &own;
    CHECK_NULL(drmaa2_rsession_get_contact(rs), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_rsession_get_session_name(rs), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_rsession_get_reservations(rs), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_rsession_get_reservation(rs, NULL), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_rsession_request_reservation(rs, NULL), DRMAA2_INVALID_SESSION);
    CHECK_ERROR(drmaa2_close_rsession(rs), DRMAA2_INVALID_SESSION);
    drmaa2_rsession_free(&rs);
    CHECK(rs == NULL);
}

int main(void) {
    job_handles();
    array_handles();
    reservation_handles();
    session_handles();
    return check_result();
}
