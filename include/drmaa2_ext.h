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

#ifdef __cplusplus
extern "C" {
#endif /* __cplusplus */

/*
 * Create a reservation info in which nothing is set.
 *
 * Returns an info to be freed with drmaa2_rinfo_free, or NULL: DRMAA2_OUT_OF_RESOURCE.
 */
drmaa2_rinfo drmaa2_rinfo_create(void);

#ifdef __cplusplus
} /* extern "C" */
#endif /* __cplusplus */

#endif  /* DRMAA2_EXT_H */
