// Command redial places outbound calls as durable call flows.
package main

import "redial/app"

func main() { app.Main() }
