/*
 * Reservations: what can be asked for, what is refused, what is known of them, and for how long. On a
 * state directory of its own, so that the whole machine can be had; needs no containerd.
 */
#include "job.h"

#include <pwd.h>
#include <time.h>

#define HOUR ((time_t) 3600)
#define UNSET DRMAA2_UNSET_TIME

/* A time that no test comes near. */
static time_t base;
/* As many slots as the machine has. */
static long long slots;
/* The session of a process that is no more. */
static drmaa2_rsession left;

static drmaa2_rsession reservation_session(const char *name) {
    drmaa2_rsession rs = drmaa2_create_rsession(name, NULL);
    if (rs == NULL) {
        give_up("drmaa2_create_rsession");
    }
    return rs;
}

static drmaa2_rtemplate template(time_t start, time_t end, time_t duration) {
    drmaa2_rtemplate rt = drmaa2_rtemplate_create();
    rt->startTime = start;
    rt->endTime = end;
    rt->duration = duration;
    return rt;
}

static drmaa2_string_list names(const char *name) {
    drmaa2_string_list list =
        drmaa2_list_create(DRMAA2_STRINGLIST, drmaa2_string_list_default_callback);
    if (name != NULL) {
        CHECK_OK(drmaa2_list_add(list, strdup(name)));
    }
    return list;
}

static long size(drmaa2_list list) {
    CHECK(list != NULL);
    long size = drmaa2_list_size(list);
    drmaa2_list_free(&list);
    return size;
}

/* A request that must succeed; the template is freed. */
static drmaa2_r request(drmaa2_rsession rs, drmaa2_rtemplate rt) {
    drmaa2_r r = drmaa2_rsession_request_reservation(rs, rt);
    if (r == NULL) {
        give_up("drmaa2_rsession_request_reservation");
    }
    CHECK_INT(drmaa2_lasterror(), DRMAA2_SUCCESS);
    drmaa2_rtemplate_free(&rt);
    return r;
}

static void end_early(drmaa2_r *r) {
    CHECK_OK(drmaa2_r_terminate(*r));
    drmaa2_r_free(r);
}

/* The request is refused with a text that holds `cause`; the template is freed. */
#define REFUSED(rs, rt, cause) refused(__LINE__, (rs), (rt), (cause))

static void refused(int line, drmaa2_rsession rs, drmaa2_rtemplate rt, const char *cause) {
    long before = size(drmaa2_rsession_get_reservations(rs));
    drmaa2_r r = drmaa2_rsession_request_reservation(rs, rt);
    char *text = drmaa2_lasterror_text();
    check_int(__FILE__, line, cause, drmaa2_lasterror(), DRMAA2_INVALID_ARGUMENT);
    if (r != NULL || text == NULL || strstr(text, cause) == NULL) {
        check_failed(__FILE__, line, "refusal", cause, text ? text : "no error");
    }
    drmaa2_string_free(&text);
    drmaa2_r_free(&r);
    drmaa2_rtemplate_free(&rt);
    check_int(__FILE__, line, "reservations", size(drmaa2_rsession_get_reservations(rs)), before);
}

static void window_is(drmaa2_r r, time_t start, time_t end) {
    drmaa2_rinfo ri = drmaa2_r_get_info(r);
    CHECK_INT(ri->reservedStartTime, start);
    CHECK_INT(ri->reservedEndTime, end);
    drmaa2_rinfo_free(&ri);
}

static void fixed_windows(drmaa2_rsession rs) {
    time_t combinations[][3] = {
        {base, base + HOUR, UNSET},
        {base, UNSET, HOUR},
        {base, base + HOUR, HOUR},
    };
    for (int i = 0; i < 3; i++) {
        time_t *times = combinations[i];
        drmaa2_r r = request(rs, template(times[0], times[1], times[2]));
        window_is(r, base, base + HOUR);
        end_early(&r);
    }

    time_t before = time(NULL);
    drmaa2_r r = request(rs, template(DRMAA2_NOW, UNSET, HOUR));
    drmaa2_rinfo ri = drmaa2_r_get_info(r);
    CHECK(ri->reservedStartTime >= before && ri->reservedStartTime <= time(NULL));
    CHECK_INT(ri->reservedEndTime - ri->reservedStartTime, HOUR);
    drmaa2_rinfo_free(&ri);
    end_early(&r);
    r = request(rs, template(DRMAA2_NOW, base, UNSET));
    end_early(&r);
}

static void earliest_windows(drmaa2_rsession rs) {
    time_t before = time(NULL);
    drmaa2_rtemplate rt = template(UNSET, UNSET, HOUR);
    rt->minSlots = slots;
    drmaa2_r now = request(rs, rt);
    drmaa2_rinfo ri = drmaa2_r_get_info(now);
    time_t end = ri->reservedEndTime;
    CHECK(ri->reservedStartTime >= before && ri->reservedStartTime <= time(NULL) + 1);
    CHECK_INT(end - ri->reservedStartTime, HOUR);
    drmaa2_rinfo_free(&ri);

    /* The machine is taken until then, so the next one follows. */
    drmaa2_r next = request(rs, template(UNSET, end + HOUR, HOUR));
    window_is(next, end, end + HOUR);
    end_early(&next);
    REFUSED(rs, template(UNSET, end + HOUR - 1, HOUR), "not free");
    REFUSED(rs, template(DRMAA2_NOW, UNSET, 1), "not free");
    REFUSED(rs, template(end - 1, end + HOUR, UNSET), "not free");
    next = request(rs, template(end, end + HOUR, UNSET));
    end_early(&next);

    /* The slots of a reservation that is given up are free at once. */
    end_early(&now);
    now = request(rs, template(DRMAA2_NOW, UNSET, HOUR));
    end_early(&now);
}

static void wrong_times(drmaa2_rsession rs) {
    time_t now = time(NULL);
    REFUSED(rs, drmaa2_rtemplate_create(), "two are needed");
    REFUSED(rs, template(base, UNSET, UNSET), "two are needed");
    REFUSED(rs, template(DRMAA2_NOW, UNSET, UNSET), "two are needed");
    REFUSED(rs, template(UNSET, base, UNSET), "two are needed");
    REFUSED(rs, template(base, base, UNSET), "endTime");
    REFUSED(rs, template(base, base - 1, UNSET), "endTime");
    REFUSED(rs, template(base, DRMAA2_NOW, UNSET), "endTime");
    REFUSED(rs, template(UNSET, now - 1, HOUR), "endTime");
    REFUSED(rs, template(base, base + HOUR, HOUR + 1), "agree");
    REFUSED(rs, template(base, UNSET, 0), "duration");
    REFUSED(rs, template(UNSET, UNSET, DRMAA2_INFINITE_TIME), "duration");
    REFUSED(rs, template(now - 1, UNSET, HOUR), "startTime");
    REFUSED(rs, template(DRMAA2_INFINITE_TIME, UNSET, HOUR), "startTime");
    REFUSED(rs, template(UNSET, UNSET, (time_t) 1 << 62), "9999");
}

#define WITH(member, value) (rt = template(base, UNSET, HOUR), rt->member = (value), rt)

static void slots_and_machine(drmaa2_rsession rs) {
    char machine[256];
    drmaa2_rtemplate rt;
    drmaa2_r r;
    drmaa2_msession ms = drmaa2_open_msession(NULL);
    drmaa2_machineinfo_list machines = drmaa2_msession_get_all_machines(ms, NULL);
    const struct drmaa2_machineinfo_s *mi = drmaa2_list_get(machines, 0);
    CHECK_INT(gethostname(machine, sizeof machine), 0);

    REFUSED(rs, WITH(minSlots, 0), "minSlots");
    REFUSED(rs, WITH(minSlots, -2), "minSlots");
    REFUSED(rs, WITH(maxSlots, 0), "maxSlots");
    REFUSED(rs, WITH(minSlots, slots + 1), "minSlots");
    (void) WITH(minSlots, 2);
    rt->maxSlots = 1;
    REFUSED(rs, rt, "maxSlots");
    REFUSED(rs, WITH(minPhysMemory, -2), "minPhysMemory");
    REFUSED(rs, WITH(minPhysMemory, mi->physMemory + 1), "minPhysMemory");
    REFUSED(rs, WITH(machineOS, DRMAA2_WINNT), "machineOS");
    REFUSED(rs, WITH(machineArch, DRMAA2_SPARC), "machineArch");
    REFUSED(rs, WITH(candidateMachines, names("no such machine")), "candidateMachines");
    REFUSED(rs, WITH(candidateMachines, drmaa2_list_create(DRMAA2_JOBLIST, NULL)), "candidateMachines");
    REFUSED(rs, WITH(usersACL, drmaa2_list_create(DRMAA2_JOBLIST, NULL)), "usersACL");
    REFUSED(rs, WITH(reservationName, strdup("\xff")), "reservationName");

    /* All that the machine has; and what counts as not set. */
    (void) WITH(minSlots, slots);
    rt->minPhysMemory = mi->physMemory;
    rt->machineOS = mi->machineOS;
    rt->machineArch = mi->machineArch;
    rt->candidateMachines = names(machine);
    CHECK_OK(drmaa2_list_add(rt->candidateMachines, strdup("another machine")));
    r = request(rs, rt);
    REFUSED(rs, template(base, UNSET, HOUR), "not free");
    end_early(&r);
    (void) WITH(minSlots, -99999);
    rt->maxSlots = rt->minPhysMemory = -99999;
    rt->candidateMachines = names(NULL);
    rt->usersACL = names(NULL);
    rt->reservationName = strdup("");
    rt->jobCategory = strdup("");
    r = request(rs, rt);
    drmaa2_rinfo ri = drmaa2_r_get_info(r);
    CHECK_INT(ri->reservedSlots, 1);
    CHECK_STR(ri->reservationName, NULL);
    drmaa2_rinfo_free(&ri);
    end_early(&r);

    drmaa2_list_free(&machines);
    CHECK_OK(drmaa2_close_msession(ms));
    drmaa2_msession_free(&ms);
}

/* The library tells of a reservation what was asked for. */
static void told(drmaa2_rsession rs) {
    char machine[256];
    const struct passwd *user = getpwuid(geteuid());
    CHECK_INT(gethostname(machine, sizeof machine), 0);
    drmaa2_rtemplate rt = template(base, UNSET, HOUR);
    rt->reservationName = strdup("name");
    rt->jobCategory = strdup("category");
    rt->minPhysMemory = 1024;
    drmaa2_r r = request(rs, rt);
    char *id = drmaa2_r_get_id(r), *name = drmaa2_rsession_get_session_name(rs);
    CHECK(id != NULL && *id != '\0');
    CHECK_STR(r->id, id);
    CHECK_STR(r->session_name, name);
    CHECK_OWN(drmaa2_r_get_session_name(r), name);

    drmaa2_rinfo ri = drmaa2_r_get_info(r);
    CHECK_STR(ri->reservationId, id);
    CHECK_STR(ri->reservationName, "name");
    CHECK_INT(ri->reservedSlots, 1);
    CHECK_INT(drmaa2_list_size(ri->usersACL), 1);
    CHECK(user != NULL);
    CHECK_STR(drmaa2_list_get(ri->usersACL, 0), user->pw_name);
    CHECK_INT(drmaa2_list_size(ri->reservedMachines), 1);
    const struct drmaa2_slotinfo_s *si = drmaa2_list_get(ri->reservedMachines, 0);
    CHECK_STR(si->machineName, machine);
    CHECK_INT(si->slots, 1);
    CHECK(ri->implementationSpecific == NULL);
    drmaa2_rinfo_free(&ri);

    rt = drmaa2_r_get_reservation_template(r);
    CHECK_STR(rt->reservationName, "name");
    CHECK_STR(rt->jobCategory, "category");
    CHECK_INT(rt->startTime, base);
    CHECK_INT(rt->endTime, UNSET);
    CHECK_INT(rt->duration, HOUR);
    CHECK_INT(rt->minSlots, DRMAA2_UNSET_NUM);
    CHECK_INT(rt->minPhysMemory, 1024);
    CHECK_INT(rt->machineOS, DRMAA2_UNSET_OS);
    CHECK(rt->usersACL == NULL && rt->candidateMachines == NULL);
    drmaa2_rtemplate_free(&rt);

    /* A handle that the client built leads to it as well, and so does its id. */
    drmaa2_r_s made = {id, name};
    window_is(&made, base, base + HOUR);
    drmaa2_r found = drmaa2_rsession_get_reservation(rs, id);
    CHECK(found != NULL && found != r);
    CHECK_OWN(drmaa2_r_get_id(found), id);
    drmaa2_r_free(&found);
    drmaa2_r_list list = drmaa2_rsession_get_reservations(rs);
    CHECK_INT(drmaa2_list_size(list), 1);
    CHECK_STR(((drmaa2_r) drmaa2_list_get(list, 0))->id, id);
    drmaa2_list_free(&list);
    char unknown[] = "no-such-reservation";
    CHECK_NULL(drmaa2_rsession_get_reservation(rs, unknown), DRMAA2_INVALID_ARGUMENT);
    made.id = unknown;
    CHECK_NULL(drmaa2_r_get_info(&made), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_r_get_reservation_template(&made), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_r_terminate(&made), DRMAA2_INVALID_ARGUMENT);

    /* Given up, it is known and of no use. It never began, so it ends where it begins. */
    CHECK_OK(drmaa2_r_terminate(r));
    CHECK_ERROR(drmaa2_r_terminate(r), DRMAA2_INVALID_STATE);
    window_is(r, base, base);
    CHECK_INT(size(drmaa2_rsession_get_reservations(rs)), 0);
    found = drmaa2_rsession_get_reservation(rs, id);
    CHECK(found != NULL);
    drmaa2_r_free(&found);
    drmaa2_r_free(&r);

    rt = template(base, UNSET, HOUR);
    rt->usersACL = names("somebody");
    r = request(rs, rt);
    ri = drmaa2_r_get_info(r);
    CHECK_INT(drmaa2_list_size(ri->usersACL), 1);
    CHECK_STR(drmaa2_list_get(ri->usersACL, 0), "somebody");
    drmaa2_rinfo_free(&ri);
    end_early(&r);
    drmaa2_string_free(&id);
    drmaa2_string_free(&name);
}

static void is_no_session(drmaa2_rsession rs) {
    char id[] = "r";
    CHECK_NULL(drmaa2_rsession_get_contact(rs), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_rsession_get_session_name(rs), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_rsession_get_reservation(rs, id), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_rsession_request_reservation(rs, NULL), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_rsession_get_reservations(rs), DRMAA2_INVALID_SESSION);
    CHECK_ERROR(drmaa2_close_rsession(rs), DRMAA2_INVALID_SESSION);
}

static void session_names(void) {
    drmaa2_rsession rs = reservation_session("named"), other;
    drmaa2_jsession js = drmaa2_create_jsession("named", NULL);
    CHECK(js != NULL);
    CHECK_NULL(drmaa2_open_rsession("unknown"), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_create_rsession("named", NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_create_rsession("", NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_create_rsession("\xff", NULL), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_create_rsession("new", "http://example.org"), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_destroy_rsession("unknown"), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_rsession_get_contact(rs), DRMAA2_SUCCESS);
    other = drmaa2_create_rsession("contacted", "containerd:///run/other.sock");
    CHECK_OWN(drmaa2_rsession_get_contact(other), "containerd:///run/other.sock");
    CHECK_STR(other->name, "contacted");
    drmaa2_rsession_free(&other);
    CHECK_INT(size(drmaa2_get_rsession_names()), 3);
    CHECK_OK(drmaa2_destroy_rsession("contacted"));

    /* Two handles of one session; the second does not notice that the first is closed. */
    other = drmaa2_open_rsession("named");
    CHECK_OK(drmaa2_close_rsession(rs));
    is_no_session(rs);
    drmaa2_rsession_free(&rs);
    CHECK_OWN(drmaa2_rsession_get_session_name(other), "named");
    CHECK_OK(drmaa2_destroy_rsession("named"));
    is_no_session(other);
    CHECK_OK(drmaa2_destroy_jsession("named"));
    drmaa2_jsession_free(&js);
    drmaa2_rsession_free(&other);
}

/* The meaning of a closed and a destroyed session for the handles of its reservations. */
static void handles_and_sessions(void) {
    drmaa2_rsession rs = reservation_session("first"), second = reservation_session("second");
    drmaa2_r r = request(rs, template(base, UNSET, HOUR));
    drmaa2_r_s elsewhere = {r->id, second->name}, nowhere = {r->id, NULL};
    CHECK_NULL(drmaa2_r_get_info(&elsewhere), DRMAA2_INVALID_ARGUMENT);
    CHECK_ERROR(drmaa2_r_terminate(&elsewhere), DRMAA2_INVALID_ARGUMENT);
    CHECK_NULL(drmaa2_r_get_info(&nowhere), DRMAA2_INVALID_SESSION);
    CHECK_OK(drmaa2_close_rsession(rs));
    CHECK_NULL(drmaa2_r_get_info(r), DRMAA2_INVALID_SESSION);
    CHECK_NULL(drmaa2_r_get_reservation_template(r), DRMAA2_INVALID_SESSION);
    CHECK_ERROR(drmaa2_r_terminate(r), DRMAA2_INVALID_SESSION);
    CHECK_OWN(drmaa2_r_get_session_name(r), "first");

    drmaa2_msession ms = drmaa2_open_msession(NULL);
    window_is(r, base, base + HOUR);
    window_is(&nowhere, base, base + HOUR);
    drmaa2_r_list all = drmaa2_msession_get_all_reservations(ms);
    CHECK_INT(drmaa2_list_size(all), 2);
    drmaa2_r other = (drmaa2_r) drmaa2_list_get(all, 0), listed = (drmaa2_r) drmaa2_list_get(all, 1);
    CHECK_STR(other->session_name, "left behind");
    CHECK_STR(listed->id, r->id);
    CHECK_STR(listed->session_name, "first");
    drmaa2_list_free(&all);

    /* Destroyed, its name is free; the reservation is in force, and not in the new session. */
    CHECK_OK(drmaa2_destroy_rsession("first"));
    drmaa2_rsession_free(&rs);
    rs = reservation_session("first");
    CHECK_INT(size(drmaa2_rsession_get_reservations(rs)), 0);
    CHECK_INT(size(drmaa2_msession_get_all_reservations(ms)), 2);
    drmaa2_rtemplate rt = template(base, UNSET, HOUR);
    rt->minSlots = slots;
    REFUSED(rs, rt, "not free");
    CHECK_OK(drmaa2_close_msession(ms));
    CHECK_NULL(drmaa2_r_get_info(r), DRMAA2_INVALID_SESSION);
    drmaa2_msession_free(&ms);
    ms = drmaa2_open_msession(NULL);
    end_early(&r);
    CHECK_INT(size(drmaa2_msession_get_all_reservations(ms)), 1);
    CHECK_OK(drmaa2_close_msession(ms));
    drmaa2_msession_free(&ms);

    CHECK_OK(drmaa2_destroy_rsession("first"));
    CHECK_OK(drmaa2_destroy_rsession("second"));
    drmaa2_rsession_free(&rs);
    drmaa2_rsession_free(&second);
}

static void leave_behind(const char *name) {
    drmaa2_rsession rs = reservation_session(name);
    drmaa2_r r = request(rs, template(base + HOUR, UNSET, HOUR));
    drmaa2_r_free(&r);
}

/* A session of the parent goes on in its child. */
static void give_up_what_is_left(const char *name) {
    drmaa2_r_list list = drmaa2_rsession_get_reservations(left);
    CHECK_OWN(drmaa2_rsession_get_session_name(left), name);
    CHECK_INT(drmaa2_list_size(list), 1);
    CHECK_OK(drmaa2_r_terminate((drmaa2_r) drmaa2_list_get(list, 0)));
    drmaa2_list_free(&list);
}

int main(void) {
    char dir[] = "/tmp/drmaa2-reservations-XXXXXX", command[64];
    CHECK(mkdtemp(dir) != NULL);
    CHECK_INT(setenv("DRMAA2_STATE_DIR", dir, 1), 0);
    base = time(NULL) + 24 * HOUR;

    /* Before the library is used here: another process than any that comes after it. */
    in_child(leave_behind, "left behind");
    drmaa2_rsession rs = reservation_session(NULL);
    left = drmaa2_open_rsession("left behind");
    CHECK(left != NULL);
    drmaa2_rtemplate rt = template(base, UNSET, HOUR);
    rt->maxSlots = 1 << 20;
    drmaa2_r all = request(rs, rt);
    drmaa2_rinfo ri = drmaa2_r_get_info(all);
    slots = ri->reservedSlots;
    CHECK(slots >= 1 && slots < 1 << 20);
    drmaa2_rinfo_free(&ri);
    end_early(&all);

    fixed_windows(rs);
    earliest_windows(rs);
    wrong_times(rs);
    slots_and_machine(rs);
    told(rs);
    drmaa2_string name = drmaa2_rsession_get_session_name(rs);
    CHECK_OK(drmaa2_close_rsession(rs));
    CHECK_OK(drmaa2_destroy_rsession(name));
    drmaa2_string_free(&name);
    drmaa2_rsession_free(&rs);
    session_names();
    handles_and_sessions();

    in_child(give_up_what_is_left, "left behind");
    CHECK_INT(size(drmaa2_rsession_get_reservations(left)), 0);
    CHECK_OK(drmaa2_close_rsession(left));
    drmaa2_rsession_free(&left);

    snprintf(command, sizeof command, "rm -r %s", dir);
    CHECK_INT(system(command), 0);
    return check_result();
}
