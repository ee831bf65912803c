// Package deploy holds what deploys Redial to its promises: docker-compose.yml, the Dockerfile and the proxy's configuration,
// each read by the parser that will read it there. It is a module of its own, because those are large.
package deploy
