"""Take-downs: sites, apps, accounts and numbers that partners are asked to take away."""
