"""How does anybody outside speak to the engine? By GraphQL, over HTTP and WebSocket."""
