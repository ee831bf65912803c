package console

import "github.com/gin-gonic/gin"

// Routes are what a console serves.
func Routes(k *Console) gin.RoutesInfo { return k.engine.Routes() }
