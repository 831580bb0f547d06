/* The shared part of the programs that check the numbered statements of the standard: each statement is
   one function, and a line on standard output says how it came out. */
#ifndef STATEMENT_H
#define STATEMENT_H

#include "check.h"

/* Run the check of one statement and print its line. */
#define STATEMENT(number, check) statement(number, check)

static inline void statement(int number, void (*check)(void))
{
    int before = check_failures;
    check();
    printf("statement %d: %s\n", number, check_failures == before ? "ok" : "FAILED");
}

#endif
