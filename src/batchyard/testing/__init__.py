"""What tests are made of: virtual time, scripted upstreams, slow and faulty stores."""
