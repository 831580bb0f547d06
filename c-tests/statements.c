/* The behaviour that the standard lets a client see, statement by statement: those that no job is needed
   for. This is how a client is written who knows the header of GFD.230 and nothing else. */
#include "statement.h"

#include <pthread.h>

static drmaa2_string_list three_names(drmaa2_list_entryfree callback)
{
    static const char *const names[] = {"a", "b", "c"};
    drmaa2_string_list list = drmaa2_list_create(DRMAA2_STRINGLIST, callback);
    for (int i = 0; i < 3; i++)
        CHECK_OK(drmaa2_list_add(list, callback == NULL ? names[i] : strdup(names[i])));
    return list;
}

static void a_list_counts_and_keeps_the_order(void)
{
    drmaa2_list list = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    CHECK_INT(drmaa2_list_size(list), 0);
    drmaa2_list_free(&list);
    list = three_names(NULL);
    CHECK_INT(drmaa2_list_size(list), 3);
    CHECK_STR(drmaa2_list_get(list, 0), "a");
    CHECK_STR(drmaa2_list_get(list, 2), "c");
    drmaa2_list_free(&list);
}

static void there_is_no_element_outside_of_a_list(void)
{
    drmaa2_list list = three_names(NULL);
    CHECK_NULL(drmaa2_list_get(list, -1), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_list_get(list, 3), DRMAA2_INVALID_ARGUMENT);
    drmaa2_list_free(&list);
}

static void no_list_has_no_size(void)
{
    CHECK_INT(drmaa2_list_size(NULL), -1);
}

static void no_list_takes_no_element(void)
{
    CHECK_ERROR(drmaa2_list_add(NULL, "a"), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_list_del(NULL, 0), DRMAA2_INVALID_ARGUMENT);
}

static int released;
static char last_released[8];

static void release(void **value)
{
    released++;
    snprintf(last_released, sizeof last_released, "%s", (char *)*value);
    free(*value);
}

static void a_deleted_element_is_released_and_the_rest_moves_up(void)
{
    drmaa2_list list = three_names(release);
    released = 0;
    CHECK_OK(drmaa2_list_del(list, 1));
    CHECK_INT(released, 1);
    CHECK_STR(last_released, "b");
    CHECK_INT(drmaa2_list_size(list), 2);
    CHECK_STR(drmaa2_list_get(list, 1), "c");
    drmaa2_list_free(&list);
}

static void a_list_gives_back_the_pointers_it_got(void)
{
    char element[] = "element";
    drmaa2_list list = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    CHECK_OK(drmaa2_list_add(list, element));
    CHECK(drmaa2_list_get(list, 0) == element);
    drmaa2_list_free(&list);
}

static void a_list_releases_its_elements_if_it_has_a_callback(void)
{
    drmaa2_list list = three_names(NULL);
    released = 0;
    drmaa2_list_free(&list);
    CHECK(list == NULL);
    CHECK_INT(released, 0);
    list = three_names(release);
    drmaa2_list_free(&list);
    CHECK(list == NULL);
    CHECK_INT(released, 3);
    drmaa2_list_free(&list);
}

static void a_key_is_in_a_dictionary_once(void)
{
    drmaa2_dict dict = drmaa2_dict_create(drmaa2_dict_default_callback);
    char *again = strdup("key");
    drmaa2_string_list keys;
    CHECK_OK(drmaa2_dict_set(dict, strdup("key"), strdup("old")));
    CHECK_OK(drmaa2_dict_set(dict, again, strdup("new")));
    free(again);
    CHECK_STR(drmaa2_dict_get(dict, "key"), "new");
    keys = drmaa2_dict_list(dict);
    CHECK_INT(drmaa2_list_size(keys), 1);
    drmaa2_list_free(&keys);
    drmaa2_dict_free(&dict);
}

static void keys_outlive_their_dictionary(void)
{
    drmaa2_dict dict = drmaa2_dict_create(drmaa2_dict_default_callback);
    drmaa2_string_list keys;
    CHECK_OK(drmaa2_dict_set(dict, strdup("key"), strdup("value")));
    keys = drmaa2_dict_list(dict);
    drmaa2_dict_free(&dict);
    CHECK(dict == NULL);
    CHECK_STR(drmaa2_list_get(keys, 0), "key");
    drmaa2_list_free(&keys);
}

static void an_unknown_key_is_told(void)
{
    drmaa2_dict dict = drmaa2_dict_create(NULL);
    CHECK_OK(drmaa2_dict_set(dict, "key", "value"));
    CHECK_INT(drmaa2_dict_has(dict, "key"), DRMAA2_TRUE);
    CHECK_INT(drmaa2_dict_has(dict, "other"), DRMAA2_FALSE);
    CHECK_NULL(drmaa2_dict_get(dict, "other"), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_dict_del(dict, "other"), DRMAA2_INVALID_ARGUMENT);
    CHECK_OK(drmaa2_dict_del(dict, "key"));
    CHECK_INT(drmaa2_dict_has(dict, "key"), DRMAA2_FALSE);
    drmaa2_dict_free(&dict);
}

static void default_callbacks_take_pointers_to_nothing(void)
{
    void *nothing = NULL;
    char *key = NULL, *value = NULL;
    drmaa2_dict_default_callback(&key, &value);
    drmaa2_string_list_default_callback(&nothing);
    drmaa2_j_list_default_callback(&nothing);
    drmaa2_queueinfo_list_default_callback(&nothing);
    drmaa2_machineinfo_list_default_callback(&nothing);
    drmaa2_slotinfo_list_default_callback(&nothing);
    drmaa2_r_list_default_callback(&nothing);
}

static void new_structs_have_nothing_set(void)
{
    drmaa2_jtemplate jt = drmaa2_jtemplate_create();
    drmaa2_jinfo ji = drmaa2_jinfo_create();
    drmaa2_rtemplate rt = drmaa2_rtemplate_create();
    CHECK(jt->remoteCommand == DRMAA2_UNSET_STRING && jt->args == DRMAA2_UNSET_LIST);
    CHECK(jt->jobEnvironment == DRMAA2_UNSET_DICT && jt->implementationSpecific == NULL);
    CHECK_INT(jt->submitAsHold, DRMAA2_UNSET_BOOL);
    CHECK_INT(jt->minSlots, DRMAA2_UNSET_NUM);
    CHECK_INT(jt->priority, DRMAA2_UNSET_NUM);
    CHECK_INT(jt->machineOS, DRMAA2_UNSET_OS);
    CHECK_INT(jt->machineArch, DRMAA2_UNSET_CPU);
    CHECK_INT(jt->startTime, DRMAA2_UNSET_TIME);
    CHECK_INT(jt->deadlineTime, DRMAA2_UNSET_TIME);
    CHECK(ji->jobId == DRMAA2_UNSET_STRING && ji->allocatedMachines == DRMAA2_UNSET_LIST);
    CHECK_INT(ji->exitStatus, DRMAA2_UNSET_NUM);
    CHECK_INT(ji->jobState, DRMAA2_UNSET_JSTATE);
    CHECK_INT(ji->slots, DRMAA2_UNSET_NUM);
    CHECK_INT(ji->cpuTime, DRMAA2_UNSET_NUM);
    CHECK_INT(ji->wallclockTime, DRMAA2_UNSET_TIME);
    CHECK_INT(ji->finishTime, DRMAA2_UNSET_TIME);
    CHECK(rt->reservationName == DRMAA2_UNSET_STRING && rt->usersACL == DRMAA2_UNSET_LIST);
    CHECK_INT(rt->startTime, DRMAA2_UNSET_TIME);
    CHECK_INT(rt->duration, DRMAA2_UNSET_TIME);
    CHECK_INT(rt->minSlots, DRMAA2_UNSET_NUM);
    CHECK_INT(rt->machineOS, DRMAA2_UNSET_OS);
    drmaa2_jtemplate_free(&jt);
    drmaa2_jinfo_free(&ji);
    drmaa2_rtemplate_free(&rt);
}

/* Every kind of struct, made by hand where no function makes one: freed once, and then nothing. */
#define FREES(type, release) FREES_OF_SIZE(type, sizeof *block, release)
#define FREES_OF_SIZE(type, size, release)                                                             \
    do {                                                                                               \
        type block = calloc(1, size);                                                                  \
        release(&block);                                                                               \
        CHECK(block == NULL);                                                                          \
        release(&block);                                                                               \
    } while (0)

static void freed_pointers_become_null(void)
{
    drmaa2_string text = strdup("text");
    drmaa2_string_free(&text);
    CHECK(text == NULL);
    drmaa2_string_free(&text);
    FREES(drmaa2_jtemplate, drmaa2_jtemplate_free);
    FREES(drmaa2_jinfo, drmaa2_jinfo_free);
    FREES(drmaa2_rtemplate, drmaa2_rtemplate_free);
    FREES(drmaa2_rinfo, drmaa2_rinfo_free);
    FREES(drmaa2_slotinfo, drmaa2_slotinfo_free);
    FREES(drmaa2_queueinfo, drmaa2_queueinfo_free);
    FREES(drmaa2_machineinfo, drmaa2_machineinfo_free);
    FREES(drmaa2_version, drmaa2_version_free);
    FREES(drmaa2_notification, drmaa2_notification_free);
    /* The standard does not say what is in a handle; these have as many members as clients make. */
    FREES_OF_SIZE(drmaa2_j, 3 * sizeof(char *), drmaa2_j_free);
    FREES_OF_SIZE(drmaa2_jarray, 3 * sizeof(char *), drmaa2_jarray_free);
    FREES_OF_SIZE(drmaa2_r, 2 * sizeof(char *), drmaa2_r_free);
}

static void *other_thread(void *seen)
{
    *(drmaa2_error *)seen = drmaa2_lasterror();
    drmaa2_dict_get(NULL, "key");
    return NULL;
}

static void each_thread_has_its_own_last_error(void)
{
    drmaa2_error seen = DRMAA2_LASTERROR;
    drmaa2_list list = drmaa2_list_create(DRMAA2_STRINGLIST, NULL);
    pthread_t thread;
    CHECK_NULL(drmaa2_open_jsession(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_INT(pthread_create(&thread, NULL, other_thread, &seen), 0);
    CHECK_INT(pthread_join(thread, NULL), 0);
    CHECK_INT(seen, DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_INVALID_ARGUMENT);
    CHECK_INT(drmaa2_list_size(list), 0);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_SUCCESS);
    drmaa2_list_free(&list);
}

static void the_error_text_is_the_callers(void)
{
    CHECK_NULL(drmaa2_open_jsession(NULL), DRMAA2_INVALID_ARGUMENT);
    for (int i = 0; i < 3; i++) {
        char *text = drmaa2_lasterror_text();
        CHECK(text != NULL && *text != '\0');
        free(text);
        CHECK_INT(drmaa2_lasterror(), DRMAA2_INVALID_ARGUMENT);
    }
}

static void a_session_name_is_taken_once(void)
{
    drmaa2_jsession js = drmaa2_create_jsession(NULL, NULL), other;
    drmaa2_string name = drmaa2_jsession_get_session_name(js), another;
    CHECK(name != NULL && *name != '\0');
    CHECK_NULL(drmaa2_create_jsession(name, NULL), DRMAA2_INVALID_ARGUMENT);
    other = drmaa2_create_jsession(NULL, NULL);
    another = drmaa2_jsession_get_session_name(other);
    CHECK(strcmp(name, another) != 0);
    CHECK_OK(drmaa2_close_jsession(js));
    CHECK_OK(drmaa2_close_jsession(other));
    CHECK_OK(drmaa2_destroy_jsession(name));
    CHECK_OK(drmaa2_destroy_jsession(another));
    drmaa2_string_free(&name);
    drmaa2_string_free(&another);
    drmaa2_jsession_free(&js);
    drmaa2_jsession_free(&other);
}

static void an_unknown_session_cannot_be_opened(void)
{
    CHECK_NULL(drmaa2_open_jsession("no such session"), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_open_jsession(NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_open_rsession("no such session"), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_open_rsession(NULL), DRMAA2_INVALID_ARGUMENT);
}

static void is_no_session(drmaa2_jsession js)
{
    drmaa2_jtemplate jt = drmaa2_jtemplate_create();
    drmaa2_j_list jobs = drmaa2_list_create(DRMAA2_JOBLIST, drmaa2_j_list_default_callback);
    CHECK_NULL(drmaa2_jsession_get_contact(js), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_get_session_name(js), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_get_job_categories(js), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_get_jobs(js, NULL), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_get_job_array(js, "1"), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_run_job(js, jt), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_run_bulk_jobs(js, jt, 1, 2, 1, -1), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_wait_any_started(js, jobs, DRMAA2_ZERO_TIME), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_jsession_wait_any_terminated(js, jobs, DRMAA2_ZERO_TIME), DRMAA2_INVALID_SESSION);
    CHECK_ERROR(drmaa2_close_jsession(js), DRMAA2_INVALID_SESSION);
    drmaa2_list_free(&jobs);
    drmaa2_jtemplate_free(&jt);
}

static void a_closed_or_destroyed_session_is_none(void)
{
    drmaa2_jsession closed = drmaa2_create_jsession(NULL, NULL), destroyed;
    drmaa2_string name = drmaa2_jsession_get_session_name(closed);
    CHECK_OK(drmaa2_close_jsession(closed));
    is_no_session(closed);
    destroyed = drmaa2_open_jsession(name);
    CHECK(destroyed != NULL);
    CHECK_OK(drmaa2_destroy_jsession(name));
    is_no_session(destroyed);
    drmaa2_jsession_free(&closed);
    drmaa2_jsession_free(&destroyed);
    drmaa2_string_free(&name);
}

static void an_unknown_session_cannot_be_destroyed(void)
{
    CHECK_ERROR(drmaa2_destroy_jsession("no such session"), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_destroy_rsession("no such session"), DRMAA2_INVALID_ARGUMENT);
}

static void every_kind_of_struct_lists_its_extra_attributes(void)
{
    drmaa2_string_list lists[] = {
        drmaa2_jtemplate_impl_spec(),    drmaa2_jinfo_impl_spec(),     drmaa2_rtemplate_impl_spec(),
        drmaa2_rinfo_impl_spec(),        drmaa2_queueinfo_impl_spec(), drmaa2_machineinfo_impl_spec(),
        drmaa2_notification_impl_spec(),
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        CHECK(lists[i] != NULL && drmaa2_list_size(lists[i]) >= 0);
        drmaa2_list_free(&lists[i]);
    }
}

static void an_unknown_attribute_has_no_value(void)
{
    drmaa2_jtemplate jt = drmaa2_jtemplate_create();
    CHECK_NULL(drmaa2_get_instance_value(jt, "no such attribute"), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_describe_attribute(jt, "no such attribute"), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_set_instance_value(jt, "no such attribute", "1"), DRMAA2_INVALID_ARGUMENT);
    drmaa2_jtemplate_free(&jt);
}

static void what_is_no_capability_is_not_supported(void)
{
    CHECK_INT(drmaa2_supports(DRMAA2_UNSET_CAPABILITY), DRMAA2_FALSE);
    CHECK_INT(drmaa2_supports((drmaa2_capability)99), DRMAA2_FALSE);
}

int main(void)
{
    STATEMENT(1, a_list_counts_and_keeps_the_order);
    STATEMENT(2, there_is_no_element_outside_of_a_list);
    STATEMENT(3, no_list_has_no_size);
    STATEMENT(4, no_list_takes_no_element);
    STATEMENT(5, a_deleted_element_is_released_and_the_rest_moves_up);
    STATEMENT(6, a_list_gives_back_the_pointers_it_got);
    STATEMENT(7, a_list_releases_its_elements_if_it_has_a_callback);
    STATEMENT(8, a_key_is_in_a_dictionary_once);
    STATEMENT(9, keys_outlive_their_dictionary);
    STATEMENT(10, an_unknown_key_is_told);
    STATEMENT(11, default_callbacks_take_pointers_to_nothing);
    STATEMENT(12, new_structs_have_nothing_set);
    STATEMENT(13, freed_pointers_become_null);
    STATEMENT(14, each_thread_has_its_own_last_error);
    STATEMENT(15, the_error_text_is_the_callers);
    STATEMENT(16, a_session_name_is_taken_once);
    STATEMENT(18, an_unknown_session_cannot_be_opened);
    STATEMENT(19, a_closed_or_destroyed_session_is_none);
    STATEMENT(22, an_unknown_session_cannot_be_destroyed);
    STATEMENT(46, every_kind_of_struct_lists_its_extra_attributes);
    STATEMENT(47, an_unknown_attribute_has_no_value);
    STATEMENT(50, what_is_no_capability_is_not_supported);
    return check_result();
}
