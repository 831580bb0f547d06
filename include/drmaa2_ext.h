/*
 * DRMAA2: what libdrmaa2 has beyond the standard, for programs that were written for the DRMAA2
 * libraries of Grid Engine: their extensions, and names of earlier headers.
 *
 * SPDX-License-Identifier: Apache-2.0
 *
 * Generated from src/ffi/ext by: DRMAA2_BLESS=1 cargo test --test header
 *
 * What drmaa2.h says of errors, memory, NULL and threads is true here as well.
 */

#ifndef DRMAA2_EXT_H
#define DRMAA2_EXT_H

#include "drmaa2.h"

/*
 * A user on whose behalf a function is called, by his name, his number or both.
 *
 * A record in which nobody is named means the calling user, and so does one that names that user, and so
 * does NULL: the function is the same then as the one without _as. Root may name every user of the
 * system's user database. Whoever else names another user gets DRMAA2_DENIED_BY_DRMS.
 *
 * A job that root submits on behalf of a user is that user's: he is its jobOwner, and it runs with his
 * user id, his group and the supplementary groups of the user database, and with the umask of the calling
 * process. What it names on the host is opened with his rights, what is made there is his, and he may ask
 * for no more than in a job of his own; nor for one without an init (containerd_jt_init).
 *
 * Anything that root controls, gives up or destroys on behalf of a user has to be that user's; else
 * DRMAA2_DENIED_BY_DRMS.
 *
 * DRMAA2_INVALID_ARGUMENT if a name has no end, there is no such user or group, or name and number are
 * those of two.
 */
typedef struct drmaa2_sudo_s {
    /* The name of the user, or "". */
    char username[128];
    /*
     * The name of a group that he is in, to be his in the place of his own one, or "". For the calling
     * user himself there is none but that of his process. DRMAA2_DENIED_BY_DRMS for any other.
     */
    char groupname[128];
    /* The number of the user, or -1. */
    long uid;
    /* The number of the group, or -1. */
    long gid;
} drmaa2_sudo_s;

/* A user on whose behalf a function is called. Programs make these. */
typedef struct drmaa2_sudo_s *drmaa2_sudo;

/* Another name of the struct, which programs for Grid Engine use. */
typedef struct drmaa2_sudo_s drmaa2_sudo_t;

#ifdef __cplusplus
extern "C" {
#endif /* __cplusplus */

/*
 * Get the template a job was submitted with: the earlier name of drmaa2_j_get_jtemplate.
 *
 * Returns an equal copy to be freed with drmaa2_jtemplate_free. NULL on error.
 */
drmaa2_jtemplate drmaa2_j_get_jt(drmaa2_j j);

/*
 * Get the template a job array was submitted with: the earlier name of drmaa2_jarray_get_jtemplate.
 *
 * Returns an equal copy to be freed with drmaa2_jtemplate_free. NULL on error.
 */
drmaa2_jtemplate drmaa2_jarray_get_job_template(drmaa2_jarray ja);

/*
 * Get the template a reservation was requested with: Grid Engine's name of
 * drmaa2_r_get_reservation_template.
 *
 * Returns an equal copy to be freed with drmaa2_rtemplate_free. NULL on error: as
 * drmaa2_r_get_reservation_template.
 */
drmaa2_rtemplate drmaa2_r_get_rtemplate(drmaa2_r r);

/*
 * Create a reservation info in which nothing is set.
 *
 * Returns an info to be freed with drmaa2_rinfo_free, or NULL: DRMAA2_OUT_OF_RESOURCE.
 */
drmaa2_rinfo drmaa2_rinfo_create(void);

/*
 * Free a list, but not its elements, and set *l to NULL: what drmaa2_list_free does for a list
 * without a callback. Nothing happens if l or *l is NULL.
 */
void uge_drmaa2_list_free_root(drmaa2_list *l);

/*
 * Replace the element at position pos, counted from 0.
 *
 * The list keeps the pointer value, not a copy; the old element is left alone, it is the caller's
 * from then on. DRMAA2_INVALID_ARGUMENT if l or value is NULL or there is no such element.
 */
drmaa2_error uge_drmaa2_list_set(drmaa2_list l, long pos, void *value);

/*
 * Get the names of the implementation-specific attributes of versions.
 *
 * Returns a list to be freed with drmaa2_list_free. The attributes are those of the version that
 * drmaa2_get_drms_version returns; in any other they are not set.
 */
drmaa2_string_list drmaa2_version_impl_spec(void);

/*
 * Get the names of the implementation-specific attributes of slot infos: there are none.
 *
 * Returns an empty list to be freed with drmaa2_list_free.
 */
drmaa2_string_list drmaa2_slotinfo_impl_spec(void);

/*
 * Get all implementation-specific attributes of a version that are set, with their values.
 *
 * Returns a new dictionary, which may be empty, to be freed with drmaa2_dict_free. NULL on error:
 * DRMAA2_INVALID_ARGUMENT if v is NULL, or a struct of another kind that the library has made.
 */
drmaa2_dict uge_vi_impl_spec_get(drmaa2_version v);

/*
 * Wait until all of several jobs have started; one that has ended counts as well.
 *
 * l: jobs of this session. timeout: at most so many seconds; DRMAA2_ZERO_TIME to look and return;
 * DRMAA2_INFINITE_TIME. Returns a new list of the same jobs in the same order, to be freed with
 * drmaa2_list_free. NULL on error: DRMAA2_TIMEOUT when the time is over, DRMAA2_INVALID_ARGUMENT if l
 * is NULL, empty or holds a job of another session, if a job is reaped meanwhile, or for a time that is
 * none; DRMAA2_INVALID_SESSION also if the session is closed or destroyed meanwhile.
 */
drmaa2_j_list drmaa2_jsession_wait_all_started(drmaa2_jsession js,
                                               drmaa2_j_list l,
                                               time_t timeout);

/*
 * Wait until all of several jobs have ended.
 *
 * Arguments, result and errors: as drmaa2_jsession_wait_all_started.
 */
drmaa2_j_list drmaa2_jsession_wait_all_terminated(drmaa2_jsession js,
                                                  drmaa2_j_list l,
                                                  time_t timeout);

/*
 * End a job at once, without asking it and without a time to end by itself. Returns once that is
 * accepted.
 *
 * A job that runs is killed with all its processes, so its info says SIGKILL, and its stageOutFiles
 * are not copied. One that waits, or whose image is being pulled, does not start.
 * DRMAA2_INVALID_STATE if it has ended.
 */
drmaa2_error drmaa2_j_terminate_forced(drmaa2_j j);

/*
 * End all jobs of the job array that a job belongs to, as drmaa2_jarray_terminate does. Returns once
 * that is accepted.
 *
 * A job that is in no array is ended alone, as drmaa2_j_terminate does. DRMAA2_INVALID_STATE if all of
 * them have ended.
 */
drmaa2_error drmaa2_j_terminate_all(drmaa2_j j);

/*
 * End all jobs of the job array that a job belongs to at once, each as drmaa2_j_terminate_forced does.
 * Returns once that is accepted.
 *
 * A job that is in no array is ended alone. DRMAA2_INVALID_STATE if all of them have ended.
 */
drmaa2_error drmaa2_j_terminate_forced_all(drmaa2_j j);

/*
 * End the jobs of a job array that have not ended: another name of drmaa2_jarray_terminate.
 *
 * Returns once that is accepted. DRMAA2_INVALID_STATE if there are none.
 */
drmaa2_error drmaa2_jarray_terminate_all(drmaa2_jarray ja);

/*
 * Create a job session for a user and open it: as drmaa2_create_jsession.
 *
 * It is stored with those of the caller, and its name is one of theirs. Jobs that are submitted through
 * it are those of who submits them.
 */
drmaa2_jsession drmaa2_create_jsession_as(drmaa2_sudo sudo,
                                          const char *session_name,
                                          const char *contact);

/*
 * Create a reservation session for a user and open it: as drmaa2_create_rsession.
 *
 * It is stored with those of the caller, and its name is one of theirs.
 */
drmaa2_rsession drmaa2_create_rsession_as(drmaa2_sudo sudo,
                                          const char *session_name,
                                          const char *contact);

/* Remove a job session of a user from the store: as drmaa2_destroy_jsession. */
drmaa2_error drmaa2_destroy_jsession_as(drmaa2_sudo sudo, const char *session_name);

/* Remove a reservation session of a user from the store: as drmaa2_destroy_rsession. */
drmaa2_error drmaa2_destroy_rsession_as(drmaa2_sudo sudo, const char *session_name);

/* Submit a job of a user: as drmaa2_jsession_run_job. The session may be anybody's. */
drmaa2_j drmaa2_jsession_run_job_as(drmaa2_sudo sudo, drmaa2_jsession js, drmaa2_jtemplate jt);

/* Submit a job array of a user: as drmaa2_jsession_run_bulk_jobs. The session may be anybody's. */
drmaa2_jarray drmaa2_jsession_run_bulk_jobs_as(drmaa2_sudo sudo,
                                               drmaa2_jsession js,
                                               drmaa2_jtemplate jt,
                                               long long begin_index,
                                               long long end_index,
                                               long long step,
                                               long long max_parallel);

/*
 * Reserve slots and memory for a user: as drmaa2_rsession_request_reservation. Without usersACL it is
 * for him alone.
 */
drmaa2_r drmaa2_rsession_request_reservation_as(drmaa2_sudo sudo,
                                                drmaa2_rsession rs,
                                                drmaa2_rtemplate rt);

/* Give up a reservation of a user: as drmaa2_r_terminate. */
drmaa2_error drmaa2_r_terminate_as(drmaa2_sudo sudo, drmaa2_r r);

/* Suspend a running job of a user: as drmaa2_j_suspend. */
drmaa2_error drmaa2_j_suspend_as(drmaa2_sudo sudo, drmaa2_j j);

/* Resume a suspended job of a user: as drmaa2_j_resume. */
drmaa2_error drmaa2_j_resume_as(drmaa2_sudo sudo, drmaa2_j j);

/* Keep a waiting job of a user from starting: as drmaa2_j_hold. */
drmaa2_error drmaa2_j_hold_as(drmaa2_sudo sudo, drmaa2_j j);

/* Let a held job of a user start: as drmaa2_j_release. */
drmaa2_error drmaa2_j_release_as(drmaa2_sudo sudo, drmaa2_j j);

/*
 * End a job of a user: as drmaa2_j_terminate, or as drmaa2_j_terminate_forced if forced is not
 * DRMAA2_FALSE.
 */
drmaa2_error drmaa2_j_terminate_as(drmaa2_sudo sudo, drmaa2_j j, drmaa2_bool forced);

/*
 * End all jobs of the job array that a job of a user belongs to: as drmaa2_j_terminate_all, or as
 * drmaa2_j_terminate_forced_all if forced is not DRMAA2_FALSE.
 */
drmaa2_error drmaa2_j_terminate_all_as(drmaa2_sudo sudo, drmaa2_j j, drmaa2_bool forced);

/* Suspend the running jobs of a job array, which is a user's: as drmaa2_jarray_suspend. */
drmaa2_error drmaa2_jarray_suspend_as(drmaa2_sudo sudo, drmaa2_jarray ja);

/* Resume the suspended jobs of a job array, which is a user's: as drmaa2_jarray_resume. */
drmaa2_error drmaa2_jarray_resume_as(drmaa2_sudo sudo, drmaa2_jarray ja);

/* Keep the waiting jobs of a job array from starting, which is a user's: as drmaa2_jarray_hold. */
drmaa2_error drmaa2_jarray_hold_as(drmaa2_sudo sudo, drmaa2_jarray ja);

/* Let the held jobs of a job array start, which is a user's: as drmaa2_jarray_release. */
drmaa2_error drmaa2_jarray_release_as(drmaa2_sudo sudo, drmaa2_jarray ja);

/* End the jobs of a job array that have not ended, which is a user's: as drmaa2_jarray_terminate. */
drmaa2_error drmaa2_jarray_terminate_as(drmaa2_sudo sudo, drmaa2_jarray ja);

/* End the jobs of a job array that have not ended: another name of drmaa2_jarray_terminate_as. */
drmaa2_error drmaa2_jarray_terminate_all_as(drmaa2_sudo sudo, drmaa2_jarray ja);

#ifdef __cplusplus
} /* extern "C" */
#endif /* __cplusplus */

#endif  /* DRMAA2_EXT_H */
