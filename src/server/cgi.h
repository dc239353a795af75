/* SPDX-License-Identifier: MIT
 *
 * CGI (RFC 3875): the meta-variables of a request and the format of an answer, both of which
 * FastCGI uses too. */
#ifndef SERVER_CGI_H
#define SERVER_CGI_H

#include <stdbool.h>

#include "model/http.h"

/* Where the service is located in the web server's URL space. */
struct cgi_place {
    struct str root; /* such as "/~user/api"; empty: at the top, or given by the script */
    bool by_script;  /* in the directory of the script: SCRIPT_NAME is "/~user/api/SCRIPT" */
};

/* Name of the script whose directory is the root of the service if by_script is set. */
#define CGI_SCRIPT "integration-service"

/* Builds the request from a NULL-terminated array of "NAME=value" strings; the request points into
 * them. Its target is relative to the place of the service. */
void cgi_read(char *const *variables, const struct cgi_place *place, struct http_request *request);

/* Writes an answer (section 6), calling `put` for each part. */
typedef void cgi_put(void *to, struct str part);
void cgi_put_response(cgi_put *put, void *to, const struct http_response *response);

#endif
