/* The shared part of the examples: strings for templates, and what to do about an error. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <drmaa2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ends the program with the library's own words for what went wrong. */
static void fail(const char *what)
{
    drmaa2_string text = drmaa2_lasterror_text();
    fprintf(stderr, "%s: %s\n", what, text != NULL ? text : "no text");
    drmaa2_string_free(&text);
    exit(EXIT_FAILURE);
}

/* A template frees what it holds with free(), so it gets copies. */
static char *copy(const char *text)
{
    char *copied = malloc(strlen(text) + 1);
    if (copied == NULL) {
        fputs("out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    return strcpy(copied, text);
}

/* A job that runs a line of shell in an image. */
static drmaa2_jtemplate shell(const char *image, const char *line)
{
    drmaa2_jtemplate jt = drmaa2_jtemplate_create();
    if (jt == NULL)
        fail("drmaa2_jtemplate_create");
    jt->jobCategory = copy(image);
    jt->remoteCommand = copy("/bin/sh");
    jt->args = drmaa2_list_create(DRMAA2_STRINGLIST, drmaa2_string_list_default_callback);
    if (drmaa2_list_add(jt->args, copy("-c")) != DRMAA2_SUCCESS ||
        drmaa2_list_add(jt->args, copy(line)) != DRMAA2_SUCCESS)
        fail("drmaa2_list_add");
    return jt;
}

/* A session with a name of its own. */
static drmaa2_jsession new_session(void)
{
    drmaa2_jsession session = drmaa2_create_jsession(NULL, NULL);
    if (session == NULL)
        fail("drmaa2_create_jsession");
    return session;
}

/* Leaves nothing of a session, its jobs included. */
static void remove_session(drmaa2_jsession session)
{
    drmaa2_string name = drmaa2_jsession_get_session_name(session);
    if (drmaa2_close_jsession(session) != DRMAA2_SUCCESS)
        fail("drmaa2_close_jsession");
    drmaa2_jsession_free(&session);
    if (drmaa2_destroy_jsession(name) != DRMAA2_SUCCESS)
        fail("drmaa2_destroy_jsession");
    drmaa2_string_free(&name);
}

#endif
