// SPDX-License-Identifier: MIT
// Shows the document in the place of the page's text, when the viewer is there.
if (window.SwaggerUIBundle) {
  window.SwaggerUIBundle({
    url: "openapi.json",
    dom_id: "#viewer",
    validatorUrl: null, // asks nobody else
    deepLinking: true,
    docExpansion: "list",
    defaultModelsExpandDepth: 0,
  });
}
