"""Episodes come in, hop data and a GRM trained on them by one or many processes go out."""
