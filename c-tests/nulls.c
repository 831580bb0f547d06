/*
 * NULL wherever there is a pointer, in every function of the API: an error, never a crash.
 */
#include "check.h"

static void frees(void) {
    drmaa2_string_free(NULL);
    drmaa2_list_free(NULL);
    drmaa2_dict_free(NULL);
    drmaa2_jinfo_free(NULL);
    drmaa2_slotinfo_free(NULL);
    drmaa2_rinfo_free(NULL);
    drmaa2_jtemplate_free(NULL);
    drmaa2_rtemplate_free(NULL);
    drmaa2_notification_free(NULL);
    drmaa2_queueinfo_free(NULL);
    drmaa2_version_free(NULL);
    drmaa2_machineinfo_free(NULL);
    drmaa2_jsession_free(NULL);
    drmaa2_rsession_free(NULL);
    drmaa2_msession_free(NULL);
    drmaa2_j_free(NULL);
    drmaa2_jarray_free(NULL);
    drmaa2_r_free(NULL);

    drmaa2_string_list_default_callback(NULL);
    drmaa2_j_list_default_callback(NULL);
    drmaa2_queueinfo_list_default_callback(NULL);
    drmaa2_machineinfo_list_default_callback(NULL);
    drmaa2_slotinfo_list_default_callback(NULL);
    drmaa2_r_list_default_callback(NULL);
    drmaa2_dict_default_callback(NULL, NULL);

    /* The same with a pointer to NULL. */
    void *nothing = NULL;
    drmaa2_string_free((drmaa2_string *) &nothing);
    drmaa2_list_free((drmaa2_list *) &nothing);
    drmaa2_dict_free((drmaa2_dict *) &nothing);
    drmaa2_jinfo_free((drmaa2_jinfo *) &nothing);
    drmaa2_slotinfo_free((drmaa2_slotinfo *) &nothing);
    drmaa2_rinfo_free((drmaa2_rinfo *) &nothing);
    drmaa2_jtemplate_free((drmaa2_jtemplate *) &nothing);
    drmaa2_rtemplate_free((drmaa2_rtemplate *) &nothing);
    drmaa2_notification_free((drmaa2_notification *) &nothing);
    drmaa2_queueinfo_free((drmaa2_queueinfo *) &nothing);
    drmaa2_version_free((drmaa2_version *) &nothing);
    drmaa2_machineinfo_free((drmaa2_machineinfo *) &nothing);
    drmaa2_jsession_free((drmaa2_jsession *) &nothing);
    drmaa2_rsession_free((drmaa2_rsession *) &nothing);
    drmaa2_msession_free((drmaa2_msession *) &nothing);
    drmaa2_j_free((drmaa2_j *) &nothing);
    drmaa2_jarray_free((drmaa2_jarray *) &nothing);
    drmaa2_r_free((drmaa2_r *) &nothing);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_SUCCESS);
    CHECK(drmaa2_lasterror_text() == NULL);
}

static void lists_and_dictionaries(void) {
    drmaa2_list list = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    CHECK_ERROR(drmaa2_list_add(list, NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_INT(drmaa2_list_size(list), 0);
    drmaa2_list_free(&list);
    CHECK_NULL(drmaa2_list_get(NULL, 0), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_list_add(NULL, "element"), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_list_del(NULL, 0), DRMAA2_INVALID_ARGUMENT);
    CHECK_INT(drmaa2_list_size(NULL), -1);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_INVALID_ARGUMENT);

    drmaa2_dict dict = drmaa2_dict_create(NULL);
    CHECK_ERROR(drmaa2_dict_set(dict, NULL, NULL), DRMAA2_INVALID_ARGUMENT);
    drmaa2_dict_free(&dict);
    CHECK_NULL(drmaa2_dict_list(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_INT(drmaa2_dict_has(NULL, "key"), DRMAA2_FALSE);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_dict_get(NULL, "key"), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_dict_del(NULL, "key"), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_dict_set(NULL, "key", "value"), DRMAA2_INVALID_ARGUMENT);
}

/* Functions without a pointer, for the sake of completeness. */
static void without_pointers(void) {
    drmaa2_jinfo ji = drmaa2_jinfo_create();
    drmaa2_jinfo_free(&ji);
    drmaa2_jtemplate jt = drmaa2_jtemplate_create();
    drmaa2_jtemplate_free(&jt);
    drmaa2_rtemplate rt = drmaa2_rtemplate_create();
    drmaa2_rtemplate_free(&rt);
    drmaa2_string_list lists[] = {
        drmaa2_jtemplate_impl_spec(),    drmaa2_jinfo_impl_spec(),     drmaa2_rtemplate_impl_spec(),
        drmaa2_rinfo_impl_spec(),        drmaa2_queueinfo_impl_spec(), drmaa2_machineinfo_impl_spec(),
        drmaa2_notification_impl_spec(),
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        CHECK(lists[i] != NULL);
        drmaa2_list_free(&lists[i]);
    }
    drmaa2_string name = drmaa2_get_drms_name();
    CHECK_ANSWER(name);
    drmaa2_string_free(&name);
    name = drmaa2_get_drmaa_name();
    CHECK_ANSWER(name);
    drmaa2_string_free(&name);
    drmaa2_version version = drmaa2_get_drms_version();
    CHECK_ANSWER(version);
    drmaa2_version_free(&version);
    version = drmaa2_get_drmaa_version();
    CHECK_ANSWER(version);
    drmaa2_version_free(&version);
    CHECK_INT(drmaa2_supports(DRMAA2_UNSET_CAPABILITY), DRMAA2_FALSE);
    drmaa2_string_list names = drmaa2_get_jsession_names();
    CHECK_ANSWER(names);
    drmaa2_list_free(&names);
    names = drmaa2_get_rsession_names();
    CHECK_ANSWER(names);
    drmaa2_list_free(&names);
}

static void instances(void) {
    CHECK_NULL(drmaa2_get_instance_value(NULL, NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_describe_attribute(NULL, NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_set_instance_value(NULL, NULL, NULL), DRMAA2_INVALID_ARGUMENT);
}

static void session_manager(void) {
    /* NULL is a name that the library invents, and no contact. */
    drmaa2_jsession js = drmaa2_create_jsession(NULL, NULL);
    CHECK_ANSWER(js);
    if (js != NULL) {
        drmaa2_string name = drmaa2_jsession_get_session_name(js);
        CHECK(name != NULL && *name != '\0');
        CHECK_NULL(drmaa2_jsession_run_job(js, NULL), DRMAA2_INVALID_ARGUMENT);
        CHECK_NULL(drmaa2_jsession_run_bulk_jobs(js, NULL, 1, 1, 1, 1), DRMAA2_INVALID_ARGUMENT);
        CHECK_NULL(drmaa2_jsession_get_job_array(js, NULL), DRMAA2_INVALID_ARGUMENT);
        CHECK_NULL(drmaa2_jsession_wait_any_started(js, NULL, 0), DRMAA2_INVALID_ARGUMENT);
        CHECK_NULL(drmaa2_jsession_wait_any_terminated(js, NULL, 0), DRMAA2_INVALID_ARGUMENT);
        CHECK_OK(drmaa2_close_jsession(js));
        CHECK_OK(drmaa2_destroy_jsession(name));
        drmaa2_jsession_free(&js);
        drmaa2_string_free(&name);
    }
    CHECK_NULL(drmaa2_open_jsession(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_close_jsession(NULL), DRMAA2_INVALID_SESSION);
    CHECK_ERROR(drmaa2_destroy_jsession(NULL), DRMAA2_INVALID_ARGUMENT);

    drmaa2_rsession rs = drmaa2_create_rsession(NULL, NULL);
    CHECK_ANSWER(rs);
    if (rs != NULL) {
        drmaa2_string name = drmaa2_rsession_get_session_name(rs);
        CHECK(name != NULL && *name != '\0');
        CHECK_NULL(drmaa2_rsession_get_reservation(rs, NULL), DRMAA2_INVALID_ARGUMENT);
        CHECK_NULL(drmaa2_rsession_request_reservation(rs, NULL), DRMAA2_INVALID_ARGUMENT);
        CHECK_OK(drmaa2_close_rsession(rs));
        CHECK_OK(drmaa2_destroy_rsession(name));
        drmaa2_rsession_free(&rs);
        drmaa2_string_free(&name);
    }
    CHECK_NULL(drmaa2_open_rsession(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_close_rsession(NULL), DRMAA2_INVALID_SESSION);
    CHECK_ERROR(drmaa2_destroy_rsession(NULL), DRMAA2_INVALID_ARGUMENT);

    drmaa2_msession ms = drmaa2_open_msession(NULL);
    CHECK_ANSWER(ms);
    if (ms != NULL) {
        CHECK_OK(drmaa2_close_msession(ms));
        drmaa2_msession_free(&ms);
    }
    CHECK_ERROR(drmaa2_close_msession(NULL), DRMAA2_INVALID_SESSION);

    drmaa2_register_event_notification(NULL);
}

static void sessions(void) {
    CHECK_NULL(drmaa2_jsession_get_contact(NULL), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_get_session_name(NULL), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_get_job_categories(NULL), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_get_jobs(NULL, NULL), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_get_job_array(NULL, NULL), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_run_job(NULL, NULL), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_run_bulk_jobs(NULL, NULL, 1, 1, 1, 1), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_wait_any_started(NULL, NULL, 0), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_wait_any_terminated(NULL, NULL, 0), DRMAA2_INVALID_SESSION);

    CHECK_NULL(drmaa2_msession_get_all_reservations(NULL), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_msession_get_all_jobs(NULL, NULL), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_msession_get_all_queues(NULL, NULL), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_msession_get_all_machines(NULL, NULL), DRMAA2_INVALID_SESSION);

    CHECK_NULL(drmaa2_rsession_get_contact(NULL), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_rsession_get_session_name(NULL), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_rsession_get_reservation(NULL, NULL), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_rsession_request_reservation(NULL, NULL), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_rsession_get_reservations(NULL), DRMAA2_INVALID_SESSION);
}

static void jobs(void) {
    drmaa2_string substate = (drmaa2_string) "untouched";
    CHECK_NULL(drmaa2_j_get_id(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_j_get_session_name(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_j_get_jtemplate(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_j_suspend(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_j_resume(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_j_hold(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_j_release(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_j_terminate(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_j_reap(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_INT(drmaa2_j_get_state(NULL, NULL), DRMAA2_UNSET_JSTATE);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_INVALID_ARGUMENT);
    CHECK_INT(drmaa2_j_get_state(NULL, &substate), DRMAA2_UNSET_JSTATE);
    CHECK_STR(substate, NULL);
    CHECK_NULL(drmaa2_j_get_info(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_j_wait_started(NULL, 0), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_j_wait_terminated(NULL, 0), DRMAA2_INVALID_ARGUMENT);

    CHECK_NULL(drmaa2_jarray_get_id(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_jarray_get_jobs(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_jarray_get_session_name(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_jarray_get_jtemplate(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_jarray_suspend(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_jarray_resume(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_jarray_hold(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_jarray_release(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_jarray_terminate(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_jarray_reap(NULL), DRMAA2_INVALID_ARGUMENT);

    CHECK_NULL(drmaa2_r_get_id(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_r_get_session_name(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_r_get_reservation_template(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_r_get_info(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_r_terminate(NULL), DRMAA2_INVALID_ARGUMENT);
}

int main(void) {
    frees();
    lists_and_dictionaries();
    without_pointers();
    instances();
    session_manager();
    sessions();
    jobs();
    return check_result();
}
