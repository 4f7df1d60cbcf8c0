package main

import (
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/spf13/cobra"
)

// tokenClaims are the claims that the auth service puts into its tokens.
type tokenClaims struct {
	UserID int64 `json:"user_id"`
	jwt.RegisteredClaims
}

func newToken(load settings) *cobra.Command {
	var user int64
	var ttl time.Duration
	cmd := &cobra.Command{
		Use:   "token --user ID",
		Short: "Sign a bearer token for the REST API",
		Long: `Sign a bearer token for the REST API with KEY and ALGORITHM, as the auth service
would, and print it. Only for an ALGORITHM that signs with a shared secret
(HS256, HS384, HS512).`,
		Example: `  chat-messaging token --user 1
  curl -H "Authorization: Bearer $(chat-messaging token --user 1)" localhost:8002/chats/get-chats`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if user < 1 {
				return usagef("--user must name a user: a number from 1 up")
			}
			if ttl < time.Second {
				return usagef("--ttl must be at least 1s")
			}
			cfg, err := load("KEY", "ALGORITHM", "KEY_ALLOW_SHORT")
			if err != nil {
				return err
			}
			token, err := signToken(cfg, user, time.Now(), ttl)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
			return err
		},
	}
	cmd.Flags().Int64Var(&user, "user", 0, "the `id` of the user who calls (required)")
	cmd.Flags().DurationVar(&ttl, "ttl", time.Hour, "how long the token is valid")
	return cmd
}

func signToken(cfg Config, user int64, now time.Time, ttl time.Duration) (string, error) {
	if !isHMAC(cfg.Algorithm) {
		return "", fmt.Errorf("signing a token: ALGORITHM is %s, whose private key only the auth service has", cfg.Algorithm)
	}
	if cfg.Key == "" {
		return "", fmt.Errorf("signing a token: KEY is not set")
	}
	claims := tokenClaims{
		UserID: user,
		RegisteredClaims: jwt.RegisteredClaims{
			IssuedAt:  jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
		},
	}
	token, err := jwt.NewWithClaims(jwt.GetSigningMethod(cfg.Algorithm), claims).SignedString([]byte(cfg.Key))
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return token, nil
}
