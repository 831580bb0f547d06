/* Limits and turns of users, for whom root submits. */
#include "as.h"

static char config[] = "/tmp/drmaa2-users-XXXXXX";

static void configure(const char *text)
{
    FILE *file = fopen(config, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void waits_for(drmaa2_j j, const char *what)
{
    drmaa2_string detail = NULL;
    CHECK_INT(drmaa2_j_get_state(j, &detail), DRMAA2_QUEUED);
    CHECK_STR(detail, what);
    drmaa2_string_free(&detail);
}

static void runs(drmaa2_j j)
{
    CHECK_INT(drmaa2_j_wait_started(j, LONG), DRMAA2_SUCCESS);
    CHECK_INT(drmaa2_j_get_state(j, NULL), DRMAA2_RUNNING);
}

/* A user's jobs hold no more slots than his limit, and he keeps nobody else waiting. */
static void limit(const char *unused)
{
    drmaa2_sudo_s nobody = named("nobody", "", -1, -1), daemon = named("daemon", "", -1, -1);
    drmaa2_jsession js = session("limit");
    drmaa2_jtemplate jt = sleeper();
    drmaa2_j first, second, other;
    (void)unused;
    jt->minSlots = 3;
    CHECK_NULL(drmaa2_jsession_run_job(js, jt), DRMAA2_INVALID_ARGUMENT);
    failed(DRMAA2_INVALID_ARGUMENT, "minSlots is 3, but a user has only 2");
    drmaa2_jtemplate_free(&jt);
    jt = sleeper();
    jt->minSlots = 2;
    first = submit_as(nobody, js, jt);
    runs(first);
    second = submit_as(nobody, js, sleeper());
    other = submit_as(daemon, js, sleeper());
    runs(other);
    waits_for(second, "user-limit");
    end(&first);
    runs(second);
    end(&second);
    end(&other);
    done_with(&js);
}

/* Who holds the fewest slots is next, though another one's jobs were there before. */
static void turns(const char *unused)
{
    drmaa2_sudo_s nobody = named("nobody", "", -1, -1);
    drmaa2_jsession js = session("turns");
    drmaa2_j first = run(js, sleeper()), second = run(js, sleeper());
    drmaa2_j third = submit(js, sleeper()), his = submit_as(nobody, js, sleeper());
    (void)unused;
    waits_for(third, "slots");
    end(&first);
    runs(his);
    waits_for(third, "slots");
    end(&his);
    runs(third);
    end(&second);
    end(&third);
    done_with(&js);
}

int main(void)
{
    int fd = mkstemp(config);
    CHECK(fd >= 0 && close(fd) == 0);
    setenv("DRMAA2_CONFIG", config, 1);
    configure("slots = 8\n[users]\nslots = 2\n");
    in_child(limit, "");
    configure("slots = 2\n[users]\nfair_share = true\n");
    in_child(turns, "");
    unlink(config);
    return check_result();
}
