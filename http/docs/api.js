"use strict";

// Shows openapi.json with Swagger UI. Every address is derived from this file's
// own, so that the page works under whatever prefix a proxy serves it.
{
  const docs = new URL(".", document.currentScript.src);
  const root = new URL("..", docs);

  // The document names every way to the service. "Try it out" must take the one
  // that this page came by.
  const thisServer = {
    url: root.pathname.replace(/\/$/, "") || "/",
    description: "the server of this page",
  };
  const onThisServer = {
    statePlugins: {
      spec: {
        wrapActions: {
          updateJsonSpec: (update) => (spec) => update({ ...spec, servers: [thisServer] }),
        },
      },
    },
  };

  SwaggerUIBundle({
    dom_id: "#api",
    url: new URL("openapi.json", root).href,
    plugins: [onThisServer],
    // The default is a validator on a host of others.
    validatorUrl: null,
    // A token lives as long as the page.
    persistAuthorization: false,
    deepLinking: true,
    displayRequestDuration: true,
    defaultModelsExpandDepth: 0,
  });
}
