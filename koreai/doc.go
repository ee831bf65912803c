// Package koreai speaks to the Kore.ai Voice Gateway: it sends the request that starts an outbound call and says what
// the answer means for the person whose phone may ring, and it reads the notifications that the gateway sends back, in
// both of its generations.
//
// The gateway is known from its public documentation, which contradicts itself in places, and from jambonz, the
// open-source engine beneath it. Where a rule here decides such a contradiction, its comment says so.
package koreai
