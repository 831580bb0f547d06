/*
 * Capabilities: those that there are, those that there are not, and numbers that are none.
 */
#include "check.h"

int main(void) {
    int none[] = {DRMAA2_UNSET_CAPABILITY, -2, 13, 99, 1 << 30};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        CHECK_INT(drmaa2_supports((drmaa2_capability) none[i]), DRMAA2_FALSE);
        CHECK_INT(drmaa2_lasterror(), DRMAA2_SUCCESS);
    }
    drmaa2_capability has[] = {DRMAA2_ADVANCE_RESERVATION, DRMAA2_RESERVE_SLOTS, DRMAA2_CALLBACK,
                               DRMAA2_BULK_JOBS_MAXPARALLEL, DRMAA2_JT_STAGING, DRMAA2_JT_DEADLINE,
                               DRMAA2_JT_MAXSLOTS, DRMAA2_JT_ACCOUNTINGID, DRMAA2_RT_STARTNOW,
                               DRMAA2_RT_DURATION, DRMAA2_RT_MACHINEOS, DRMAA2_RT_MACHINEARCH};
    drmaa2_capability lacks[] = {DRMAA2_JT_EMAIL};
    for (size_t i = 0; i < sizeof has / sizeof *has; i++)
        CHECK_INT(drmaa2_supports(has[i]), DRMAA2_TRUE);
    for (size_t i = 0; i < sizeof lacks / sizeof *lacks; i++)
        CHECK_INT(drmaa2_supports(lacks[i]), DRMAA2_FALSE);
    return check_result();
}
