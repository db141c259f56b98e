"""The admission webhook: who may ask, what is asked, what is answered."""
