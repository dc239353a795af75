/* SPDX-License-Identifier: MIT
 *
 * CGI (RFC 3875): a request's meta-variables and an answer's form, which FastCGI has from it. */
#ifndef SERVER_CGI_H
#define SERVER_CGI_H

#include <stdbool.h>

#include "model/http.h"

/* Where the service lies among the web server's paths. */
struct cgi_place {
    struct str root; /* "/~user/api"; empty: at the top, or where the script says */
    bool by_script;  /* in the script's directory: of SCRIPT_NAME, "/~user/api/SCRIPT" */
};

/* The script whose directory is the service's, when the place is by the script. */
#define CGI_SCRIPT "integration-service"

/* Reads what is wanted of "NAME=value" strings, the last one NULL; the request points into them.
 * Its target begins behind the place. */
void cgi_read(char *const *variables, const struct cgi_place *place, struct http_request *request);

/* Puts an answer out (section 6) in parts. */
typedef void cgi_put(void *to, struct str part);
void cgi_put_response(cgi_put *put, void *to, const struct http_response *response);

#endif
