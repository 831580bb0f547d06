/* Job sessions: names, contact, categories, whose jobs are whose, what closing and destroying do. */
#include "job.h"

static int lists(drmaa2_string_list names, const char *name)
{
    long i;
    int found = 0;
    for (i = 0; i < drmaa2_list_size(names); i++)
        found += strcmp(drmaa2_list_get(names, i), name) == 0;
    drmaa2_list_free(&names);
    return found;
}

static void names(void)
{
    char long_name[301];
    drmaa2_jsession unnamed = session(NULL), named = session("named"), again;
    drmaa2_string name = drmaa2_jsession_get_session_name(unnamed), contact;
    /* A guest names what the site lists. */
    drmaa2_error other_contact = is_guest() ? DRMAA2_DENIED_BY_DRMS : DRMAA2_INVALID_ARGUMENT;
    CHECK(name != NULL && *name != '\0');
    CHECK_INT(lists(drmaa2_get_jsession_names(), name), 1);
    CHECK_INT(lists(drmaa2_get_jsession_names(), "named"), 1);
    drmaa2_string_free(&name);

    CHECK(drmaa2_create_jsession("named", NULL) == NULL);
    failed(DRMAA2_INVALID_ARGUMENT, "\"named\" exists already");
    CHECK(drmaa2_create_jsession("", NULL) == NULL);
    failed(DRMAA2_INVALID_ARGUMENT, "empty");
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    CHECK(drmaa2_create_jsession(long_name, NULL) == NULL);
    failed(DRMAA2_INVALID_ARGUMENT, "300 bytes");
    CHECK(drmaa2_create_jsession("contacted", "http://example.org") == NULL);
    failed(other_contact, "http://example.org");
    CHECK(drmaa2_open_jsession("unknown") == NULL);
    failed(DRMAA2_INVALID_ARGUMENT, "\"unknown\" does not exist");
    CHECK(drmaa2_open_jsession(NULL) == NULL);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_INVALID_ARGUMENT);
    CHECK_INT(drmaa2_destroy_jsession("unknown"), DRMAA2_INVALID_ARGUMENT);
    CHECK_INT(drmaa2_destroy_jsession(NULL), DRMAA2_INVALID_ARGUMENT);

    contact = drmaa2_jsession_get_contact(named);
    CHECK(contact == NULL);
    CHECK_INT(drmaa2_lasterror(), DRMAA2_SUCCESS);
    again = drmaa2_open_jsession("named");
    CHECK(again != NULL);
    CHECK_INT(drmaa2_close_jsession(again), DRMAA2_SUCCESS);
    /* A guest is told of what the site has configured alone. */
    CHECK_INT(lists(drmaa2_jsession_get_job_categories(named),
                    on_slurm() ? "host" : is_guest() ? "small" : image()), 1);
    CHECK(drmaa2_jsession_get_job_categories(again) == NULL);
    failed(DRMAA2_INVALID_SESSION, "\"named\" is closed");
    CHECK_INT(drmaa2_close_jsession(again), DRMAA2_INVALID_SESSION);
    drmaa2_jsession_free(&again);
    done_with(&named);
    done_with(&unnamed);
    CHECK_INT(lists(drmaa2_get_jsession_names(), "named"), 0);
}

static void contact_string(void)
{
    char contact[512];
    drmaa2_jsession js;
    drmaa2_string told;
    drmaa2_j j;
    if (on_slurm())
        snprintf(contact, sizeof contact, "slurm://");
    else
        snprintf(contact, sizeof contact, "containerd://%s?namespace=%s", needed("CONTAINERD_ADDRESS"),
                 needed("CONTAINERD_NAMESPACE"));
    js = drmaa2_create_jsession("contacted", contact);
    CHECK(js != NULL);
    told = drmaa2_jsession_get_contact(js);
    CHECK_STR(told, contact);
    drmaa2_string_free(&told);
    j = run(js, command("true"));
    CHECK_INT(drmaa2_j_wait_terminated(j, LONG), DRMAA2_SUCCESS);
    drmaa2_j_free(&j);
    done_with(&js);
}

static void jobs_of_a_session(void)
{
    drmaa2_jsession one = session("one"), two = session("two");
    drmaa2_jtemplate jt = sleeper();
    drmaa2_j j, other = run(two, command("true")), listed;
    drmaa2_jinfo filter = drmaa2_jinfo_create();
    drmaa2_j_list jobs;
    drmaa2_string id, own;
    struct { char *id, *session_name; } made;

    jt->jobName = strdup("mine");
    j = run(one, jt);
    own = drmaa2_j_get_id(j);
    jobs = drmaa2_jsession_get_jobs(one, filter);
    CHECK_INT(drmaa2_list_size(jobs), 1);
    listed = (drmaa2_j)drmaa2_list_get(jobs, 0);
    id = drmaa2_j_get_id(listed);
    CHECK_STR(id, own);
    drmaa2_string_free(&id);
    drmaa2_list_free(&jobs);

    filter->jobName = strdup("not mine");
    jobs = drmaa2_jsession_get_jobs(one, filter);
    CHECK(jobs != NULL);
    CHECK_INT(drmaa2_list_size(jobs), 0);
    drmaa2_list_free(&jobs);
    drmaa2_string_free(&filter->jobName);
    filter->jobName = strdup("mine");
    filter->jobState = DRMAA2_RUNNING;
    jobs = drmaa2_jsession_get_jobs(one, filter);
    CHECK_INT(drmaa2_list_size(jobs), 1);
    drmaa2_list_free(&jobs);
    drmaa2_jinfo_free(&filter);

    /* A handle that the client built works like any other; one with a wrong session does not. */
    made.id = own;
    made.session_name = "one";
    CHECK_INT(drmaa2_j_get_state((drmaa2_j)&made, NULL), DRMAA2_RUNNING);
    made.session_name = "two";
    CHECK_INT(drmaa2_j_get_state((drmaa2_j)&made, NULL), DRMAA2_UNSET_JSTATE);
    failed(DRMAA2_INVALID_ARGUMENT, own);
    made.id = "01unknown";
    CHECK(drmaa2_j_get_info((drmaa2_j)&made) == NULL);
    failed(DRMAA2_INVALID_ARGUMENT, "01unknown");

    CHECK_INT(drmaa2_j_wait_terminated(other, LONG), DRMAA2_SUCCESS);
    drmaa2_j_free(&other);
    done_with(&two);

    /* Closing and destroying leave a running job alone. */
    CHECK_INT(drmaa2_close_jsession(one), DRMAA2_SUCCESS);
    CHECK(drmaa2_j_get_info(j) == NULL);
    failed(DRMAA2_INVALID_SESSION, "\"one\"");
    drmaa2_jsession_free(&one);
    one = drmaa2_open_jsession("one");
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_RUNNING);
    CHECK_INT(drmaa2_destroy_jsession("one"), DRMAA2_SUCCESS);
    CHECK(drmaa2_jsession_get_jobs(one, NULL) == NULL);
    failed(DRMAA2_INVALID_SESSION, "\"one\"");
    CHECK_INT(drmaa2_close_jsession(one), DRMAA2_INVALID_SESSION);
    drmaa2_jsession_free(&one);
    if (reaches_containerd())
        CHECK_INT(ctr_lines("tasks ls", own), 1);

    /* The name is free again, and the old job is not in the new session. */
    one = session("one");
    jobs = drmaa2_jsession_get_jobs(one, NULL);
    CHECK_INT(drmaa2_list_size(jobs), 0);
    drmaa2_list_free(&jobs);
    done_with(&one);
    {
        drmaa2_msession ms = drmaa2_open_msession(NULL);
        end_orphan(&j, "not in job session \"one\"");
        CHECK_INT(drmaa2_close_msession(ms), DRMAA2_SUCCESS);
        drmaa2_msession_free(&ms);
    }
    drmaa2_string_free(&own);
}

int main(void)
{
    names();
    contact_string();
    jobs_of_a_session();
    return check_result();
}
