package app

import (
	"go.uber.org/zap"

	"redial/internal/config"
	"redial/internal/serve"
)

// webhookCertificate is the webhook's own certificate; nil where a proxy ends TLS before it.
func webhookCertificate(c config.Config, log *zap.Logger) (*serve.Certificate, error) {
	return serve.OpenCertificate("REDIAL_WEBHOOK_TLS", c.WebhookTLSCert, c.WebhookTLSKey, log.Named("tls"))
}
