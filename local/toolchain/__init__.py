"""Programs that no package index ships ready-made, built from pinned Go modules into a cache outside the checkout."""
